// Mistakes on purpose in the code that decides who may run: a simulation that does not find them
// proves nothing.

import type { Edit } from './edges.js';

export interface Mutant {
  /** What goes wrong then. */
  readonly why: string;
  readonly edits: readonly Edit[];
}

const TAKE_OVER = 'arbitration/may-take-over.js';
const LET_GO = 'arbitration/may-let-go.js';

export const MUTANTS = {
  'fence-is-proof': {
    why: 'a fence counts as proof without the promise of the primary',
    edits: [
      {
        file: TAKE_OVER,
        find: "return liveness === 'none' || (status?.mustProve === true && isConfirmed(view));",
        replace: 'return true;',
      },
    ],
  },
  'failed-fence': {
    why: 'the secondary takes a fence that has failed for one that has succeeded',
    edits: [{ file: 'secondary/failover.js', find: 'if (succeeded)', replace: 'if (true)' }],
  },
  'silence-is-proof': {
    why: 'a primary that is silent is taken for dead',
    edits: [
      {
        file: TAKE_OVER,
        find: "if (liveness !== 'up' || status === undefined || !isConfirmed(view))",
        replace: `if (liveness === 'lost')
        return { kind: 'word', words: FAILOVER_EVIDENCE.word };
    if (liveness !== 'up' || status === undefined || !isConfirmed(view))`,
      },
    ],
  },
  'broken-promise': {
    why: 'the primary goes on alone although its fence has failed',
    edits: [
      { file: LET_GO, find: "if (fence === 'succeeded')", replace: "if (fence !== 'ready')" },
    ],
  },
  'no-leaving': {
    why: 'the primary goes on alone in the term that its secondary knows',
    edits: [
      { file: LET_GO, find: "if (own.word !== 'leaving')", replace: 'if (false)' },
      {
        file: 'arbitration/records.js',
        find: "own.word === 'leaving' ? own : leaving(own, peer);",
        replace: 'own;',
      },
    ],
  },
  'no-yield': {
    why: 'a side that hears of a newer copy does nothing',
    edits: [{ file: 'terms/contact.js', find: "if (standing === 'yield')", replace: 'if (false)' }],
  },
  'no-claim': {
    why: 'the secondary takes over without writing it down first',
    edits: [
      {
        file: 'secondary/failover.js',
        find: 'await this.options.steps.claim(evidence.kind);',
        replace: '',
      },
    ],
  },
  'no-hold': {
    why: 'a new QEMU runs, though the secondary may have taken over',
    edits: [
      {
        file: 'arbitration/on-attach.js',
        find: "protected: row('adopt', 'let-go', 'let-go', 'hold')",
        replace: "protected: row('adopt', 'let-go', 'let-go', 'run')",
      },
    ],
  },
  'closed-is-ended': {
    why: 'the end of a QMP connection is taken for the end of QEMU',
    edits: [
      {
        file: 'vm/vm-watch.js',
        find: 'broke = (await qmp.closed)?.message ??',
        replace: `await qmp.closed.then(() => this.#set('lost', 'closed'));
            broke = (await qmp.closed)?.message ??`,
      },
    ],
  },
  'unfit-fences': {
    why: 'the secondary fences without asking whether it could take over',
    edits: [
      {
        file: 'secondary/failover.js',
        find: 'const unfit = unfitness(look());',
        replace: 'const unfit = undefined;',
      },
      {
        file: TAKE_OVER,
        find: 'if (!policy.isAutomatic || unfitnessOf(view) !== undefined)',
        replace: 'if (!policy.isAutomatic)',
      },
    ],
  },
  'early-word': {
    why: 'the primary says that it yields before its guest stands still',
    edits: [
      {
        file: 'primary/primary-status.js',
        find: "state.phase === 'yielding' && !state.isStopped ?",
        replace: 'false ?',
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;

export function isMutant(name: string): name is MutantName {
  return Object.hasOwn(MUTANTS, name);
}
