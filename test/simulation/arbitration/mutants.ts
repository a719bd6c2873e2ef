// Mistakes on purpose in the code that decides who may run: a simulation that does not find them
// proves nothing.

import type { Edit } from './edges.js';
import type { Plan, StepAt } from './plan.js';

export interface Mutant {
  /** What goes wrong then. */
  readonly why: string;
  /** What shows it. Without the mistake, it is clean. */
  readonly run: Plan;
  readonly edits: readonly Edit[];
}

function run(given: Partial<Plan>, ...steps: readonly StepAt[]): Plan {
  return {
    ...{ seed: 1, primaryHasFence: true, secondaryHasFence: true, isAutomatic: true },
    ...{ letsGo: true, isReprotected: false, fenceWorks: 1, troubleMs: 40_000 },
    ...given,
    steps,
  };
}

const CUT: StepAt = { atMs: 10_000, kind: 'silence', net: 'both', from: 'both' };
const RESTARTED: readonly StepAt[] = [
  { atMs: 10_000, kind: 'kill-qemu', host: 'a' },
  { atMs: 12_000, kind: 'start-qemu', host: 'a' },
];
/** The secondary takes over, by the word of the primary's daemon, which does not hear of it. */
const UNHEARD: readonly StepAt[] = [
  { atMs: 9900, kind: 'silence', net: 'peer', from: 'b' },
  ...RESTARTED,
];
/** Two guests, by an operator's force, until both sides hear of each other again. */
const SPLIT = run(
  { primaryHasFence: false, isAutomatic: false },
  CUT,
  {
    ...{ atMs: 20_000, kind: 'operator', host: 'b' },
    command: { name: 'failover', force: true, overrulePeer: true },
  },
  { atMs: 30_000, kind: 'heal', net: 'both' },
);

const TAKE_OVER = 'arbitration/may-take-over.js';
/** Another VM on the same hosts, to which nothing happens but what its hosts do. */
const BESIDE = run({ secondaryHasFence: true });

export const MUTANTS = {
  'fence-is-proof': {
    why: 'a fence counts as proof without the promise of the primary',
    run: run({ primaryHasFence: false }, CUT),
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
    run: run({ seed: 3, fenceWorks: 0 }, CUT),
    edits: [{ file: 'secondary/failover.js', find: 'if (succeeded &&', replace: 'if (true &&' }],
  },
  'silence-is-proof': {
    why: 'a primary that is silent is taken for dead',
    run: run({ primaryHasFence: false }, CUT),
    edits: [
      {
        file: TAKE_OVER,
        find: "if (hasTakenOver(view.replica.state))\n        return { kind: 'done'",
        replace: `if (liveness === 'lost')
        return { kind: 'word', words: FAILOVER_EVIDENCE.word };
    if (hasTakenOver(view.replica.state))\n        return { kind: 'done'`,
      },
    ],
  },
  'no-yield': {
    why: 'a side that hears of a newer copy does nothing',
    run: SPLIT,
    edits: [{ file: 'terms/contact.js', find: "if (standing === 'yield')", replace: 'if (false)' }],
  },
  'no-claim': {
    why: 'the secondary takes over without writing it down first',
    run: run({}, ...UNHEARD, { atMs: 14_000, kind: 'heal', net: 'peer' }),
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
    run: run({}, ...UNHEARD),
    edits: [
      {
        file: 'arbitration/may-let-go.js',
        find: 'if (mustTell || !mayAsk)',
        replace: "if (mustTell || (isHeld && fence === 'none'))",
      },
    ],
  },
  'runs-on': {
    why: 'a guest that has to stop is not stopped',
    run: SPLIT,
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
    run: SPLIT,
    edits: [{ file: 'terms/contact.js', find: "history.add('two-copies', {", replace: 'void ({' }],
  },
  'force-given-back': {
    why: 'the primary always has the newer copy, whatever an operator has forced',
    run: SPLIT,
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
    run: run({}, { atMs: 10_000, kind: 'disk-error', how: 'swallows', forMs: 2000 }),
    edits: [
      {
        file: 'primary/guest-fate.js',
        find: "if (effect === 'read-elsewhere') {",
        replace: "if (effect !== 'stopped') {",
      },
    ],
  },
  'lacks-forgotten': {
    why: 'what the own disk lacks is forgotten when the daemon is started again',
    run: run(
      { isAutomatic: false },
      { atMs: 9900, kind: 'silence', net: 'peer', from: 'both' },
      { atMs: 10_000, kind: 'disk-error', how: 'swallows', forMs: 2000 },
      { atMs: 12_000, kind: 'kill-daemon', host: 'a', forMs: 300 },
      { atMs: 12_000, kind: 'kill-qemu', host: 'a' },
      { atMs: 13_000, kind: 'start-qemu', host: 'a' },
      { atMs: 16_000, kind: 'heal', net: 'peer' },
    ),
    edits: [
      {
        file: 'terms/term-store.js',
        find: 'this.#record = record;\n    }\n    /**',
        replace: 'this.#record = { ...record, lacks: null };\n    }\n    /**',
      },
    ],
  },
  'hung-fences': {
    why: 'a primary whose QEMU hangs has its secondary fenced',
    run: run({ fenceWorks: 0 }, CUT, { atMs: 10_000, kind: 'hang-qemu', host: 'a', how: 'hard' }),
    edits: [
      {
        file: 'primary/let-go.js',
        find: 'const found = await liveness();',
        replace: `await liveness();
        const found = 'responding';`,
      },
    ],
  },
  'bad-disk-lets-go': {
    why: 'a primary whose own disk has failed lets go of the copy that has everything',
    run: run(
      { seed: 16_037_689, isAutomatic: false, fenceWorks: 0.7, troubleMs: 60_585 },
      { atMs: 27_223, kind: 'silence', net: 'peer', from: 'both' },
      { atMs: 33_000, kind: 'disk-error', how: 'swallows', forMs: 313 },
      { atMs: 45_142, kind: 'stop-daemon', host: 'a', forMs: 8530 },
    ),
    edits: [
      {
        file: 'primary/let-go.js',
        find: 'if (reason !== undefined && !this.#isForced())',
        replace: 'if (reason === null)',
      },
    ],
  },
  'alone-yields': {
    why: 'a primary that has let its secondary go asks it to take over',
    run: run(
      { seed: 16_035_569, isAutomatic: false, troubleMs: 34_475 },
      { atMs: 8299, kind: 'hang-qemu', host: 'b', how: 'hard' },
      { atMs: 13_872, kind: 'hang-qemu', host: 'a', how: 'hard' },
      { atMs: 27_683, kind: 'panic' },
    ),
    edits: [
      {
        file: 'primary/guest-fate.js',
        find: "return state().phase === 'protected' && IN_STEP.has(terms.record.word);",
        replace: "return state().phase === 'protected';",
      },
    ],
  },
  'hung-secondary-fences': {
    why: 'a secondary whose QEMU hangs has the primary fenced',
    run: run({ seed: 3, fenceWorks: 0 }, CUT, {
      atMs: 10_000,
      kind: 'hang-qemu',
      host: 'b',
      how: 'hard',
    }),
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
    run: run(
      {},
      { atMs: 9000, kind: 'hang-qemu', host: 'a', how: 'hard' },
      { atMs: 16_000, kind: 'kill-daemon', host: 'b', forMs: 300 },
      { atMs: 16_000, kind: 'kill-qemu', host: 'b' },
      { atMs: 17_000, kind: 'start-qemu', host: 'b' },
    ),
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
    run: run({ isAutomatic: false }, ...RESTARTED),
    edits: [{ file: 'vm/guest-guard.js', find: 'if (!this.#hasStopped)', replace: 'if (true)' }],
  },
  'waits-for-operator': {
    why: 'an automatic secondary does nothing, though the primary says that its guest is dead',
    run: run({}, { atMs: 10_000, kind: 'kill-qemu', host: 'a' }),
    edits: [
      {
        file: TAKE_OVER,
        find: 'if (evidenceIn(view) && (policy.isAutomatic || isHandedOver(view)))',
        replace: 'if (false)',
      },
      { file: TAKE_OVER, find: "status?.vm === 'lost' || ", replace: '' },
    ],
  },
  'hears-states-only': {
    why: 'a takeover that has failed is tried again only when a state changes, not a record',
    run: run(
      { seed: 13_500_277, troubleMs: 44_068 },
      { atMs: 32_850, kind: 'panic' },
      { atMs: 32_893, kind: 'hang-qemu', host: 'b', how: 'hard' },
      { atMs: 32_967, kind: 'silence', net: 'both', from: 'b' },
    ),
    edits: [
      {
        file: 'secondary/secondary-role.js',
        find: 'is known to stand still.\n        this.#failover.consider();',
        replace:
          'is known to stand still.\n' +
          'if (status.vm !== before?.vm || status.state !== before.state) {' +
          ' this.#failover.consider(); }',
      },
      {
        file: 'secondary/secondary-role.js',
        find: '?.beatNow();\n        this.#failover.consider();',
        replace: '?.beatNow();',
      },
    ],
  },
  'never-lets-go': {
    why: 'a primary keeps a secondary that it has lost, and its guest waits for it',
    run: run({ isAutomatic: false, troubleMs: 60_000 }, CUT),
    edits: [
      {
        file: 'primary/secondary-loss.js',
        find: "return this.#reason !== undefined && !mayWait() && vm.state !== 'lost';",
        replace: 'return false;',
      },
    ],
  },
  'crosswise-fence-is-proof': {
    why: 'the end of a host that another VM has fenced is proof without a promise',
    run: { ...run({}, CUT), beside: { ...BESIDE, primaryHasFence: false, steps: [CUT] } },
    edits: [
      {
        file: TAKE_OVER,
        find: '(status?.record.mustProve === true && isConfirmed(view));',
        replace: 'true;',
      },
    ],
  },
  'impossible-step': {
    why: 'the table of states has no cell for what a held primary meets',
    run: run({ isAutomatic: false }, CUT, ...RESTARTED),
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
    run: run(
      {},
      { atMs: 9900, kind: 'silence', net: 'peer', from: 'b' },
      { atMs: 10_000, kind: 'cut-qmp', host: 'a' },
    ),
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
