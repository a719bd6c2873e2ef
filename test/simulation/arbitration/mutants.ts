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
  'runs-on': {
    why: 'a guest that has to stop is not stopped',
    from: 1,
    edits: [
      {
        file: 'vm/guest-guard.js',
        find: "if (this.#underWay || qmp?.state !== 'open')",
        replace: 'if (true)',
      },
    ],
  },
  'no-alarm': {
    why: 'two copies are no alarm',
    from: 1,
    edits: [{ file: 'terms/contact.js', find: "history.add('two-copies', {", replace: 'void ({' }],
  },
  'force-given-back': {
    why: 'the primary always has the newer copy, whatever an operator has forced',
    from: 1,
    edits: [
      {
        file: 'arbitration/compare.js',
        find: "const lead = leadOf(own, peer, cell === 'contest');",
        replace: `const lead = cell === 'term'
                ? leadOf(own, peer, false)
                : role === 'primary' ? 1 : -1;`,
      },
    ],
  },
  'bad-disk-read': {
    why: 'a primary goes on though its own disk lacks writes',
    from: 1,
    edits: [
      {
        file: 'primary/guest-fate.js',
        find: "if (effect === 'read-elsewhere') {",
        replace: "if (effect !== 'stopped') {",
      },
    ],
  },
  'hung-fences': {
    why: 'a primary whose QEMU hangs has its secondary fenced',
    from: 1,
    edits: [
      {
        file: 'primary/let-go.js',
        find: 'const found = await liveness();',
        replace: `await liveness();
        const found = 'responding';`,
      },
    ],
  },
  'ended-fences': {
    why: 'a secondary whose QEMU has ended has the primary fenced',
    from: 1,
    edits: [
      {
        file: TAKE_OVER,
        find: "if (ownVm === undefined || ownVm === 'ready')",
        replace: 'if (true)',
      },
    ],
  },
  'outdated-fences': {
    why: 'a secondary whose replica is outdated has the primary fenced',
    from: 1,
    edits: [
      { file: TAKE_OVER, find: "if (replica.state !== 'protected') {", replace: 'if (false) {' },
      {
        file: TAKE_OVER,
        find: "if (own.word !== 'protected' && own.word !== 'taken-over') {",
        replace: 'if (false) {',
      },
    ],
  },
  'never-continued': {
    why: 'a guest that was stopped to be on the safe side is not continued',
    from: 1,
    edits: [{ file: 'vm/guest-guard.js', find: 'if (!this.#hasStopped)', replace: 'if (true)' }],
  },
  'impossible-step': {
    why: 'the table of states has no cell for what a held primary meets',
    from: 1,
    edits: [
      {
        file: 'primary/primary-state.js',
        find: `'let-go-done': () => UNPROTECTED,
        'let-go-failed': same,`,
        replace: "'let-go-done': () => UNPROTECTED,",
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
