// Mistakes on purpose in the code that decides who may run: a simulation that does not find them
// proves nothing.

import type { Edit } from './edges.js';

export interface Mutant {
  /** What goes wrong then. */
  readonly why: string;
  /** The first seed to try: it was caught by this one, or soon after it. */
  readonly from: number;
  readonly edits: readonly Edit[];
}

const TAKE_OVER = 'arbitration/may-take-over.js';

export const MUTANTS = {
  'fence-is-proof': {
    why: 'a fence counts as proof without the promise of the primary',
    from: 406,
    edits: [
      {
        file: TAKE_OVER,
        find: '(status?.record.mustProve === true && isConfirmed(view));',
        replace: 'true;',
      },
    ],
  },
  'failed-fence': {
    why: 'the secondary takes a fence that has failed for one that has succeeded',
    from: 25,
    edits: [{ file: 'secondary/failover.js', find: 'if (succeeded &&', replace: 'if (true &&' }],
  },
  'silence-is-proof': {
    why: 'a primary that is silent is taken for dead',
    from: 2,
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
  'no-yield': {
    why: 'a side that hears of a newer copy does nothing',
    from: 191,
    edits: [{ file: 'terms/contact.js', find: "if (standing === 'yield')", replace: 'if (false)' }],
  },
  'no-claim': {
    why: 'the secondary takes over without writing it down first',
    from: 34,
    edits: [
      {
        file: 'secondary/failover.js',
        find: 'await this.options.steps.claim(evidence.kind);',
        replace: '',
      },
    ],
  },
  'held-fences': {
    why: 'a primary with a new QEMU has its secondary fenced, and runs then',
    from: 20376,
    edits: [
      {
        file: 'arbitration/may-let-go.js',
        find: 'if (mustTell || isHeld)',
        replace: "if (mustTell || (isHeld && fence === 'none'))",
      },
    ],
  },
  'closed-is-ended': {
    why: 'the end of a QMP connection is taken for the end of QEMU',
    from: 1075,
    edits: [
      {
        file: 'vm/vm-watch.js',
        find: 'broke = (await qmp.closed)?.message ??',
        replace: `await qmp.closed.then(() => this.#set('lost', 'closed'));
            broke = (await qmp.closed)?.message ??`,
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;

export function isMutant(name: string): name is MutantName {
  return Object.hasOwn(MUTANTS, name);
}
