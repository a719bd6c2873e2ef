// Mistakes on purpose in the data path: a simulation that does not find them proves nothing. Most
// are mistakes that the code once had.

import type { Edit } from './edits.js';
import type { Plan } from './plan.js';

export interface Mutant {
  /** What goes wrong then. */
  readonly why: string;
  /** The first seed to try: it was caught by this one, or soon after it. */
  readonly from: number;
  /** What of a plan it needs: the others would only take longer. */
  readonly plan?: Partial<Plan>;
  readonly edits: readonly Edit[];
}

const REPLICATOR = 'packages/replicator/dist/';
const NBD_BASE = `${REPLICATOR}images/nbd-base.js`;
const MERGE = `${REPLICATOR}disk/merge-epochs.js`;
const JOURNAL = `${REPLICATOR}durability/failover-journal.js`;
const SEED = `${REPLICATOR}sessions/seed-session.js`;

const SMALL: Partial<Plan> = {
  isLinkOnly: false,
  bases: ['raw'],
  deaths: 0,
  errors: 0,
  diskErrors: 0,
  end: 'settle',
};

export const MUTANTS = {
  'long-zeros': {
    why: 'a run of zeros is written in one request, however long it is',
    from: 13,
    edits: [
      {
        file: MERGE,
        find: 'yield* cutZeros(run, maxZeroBytes);',
        replace: 'yield run;',
      },
      {
        file: NBD_BASE,
        find: 'const ZERO_BYTES_MAX = 256 * 1024 * 1024;',
        replace: 'const ZERO_BYTES_MAX = 2 ** 53;',
      },
    ],
  },
  'long-frames': {
    why: 'a journal has one frame for a run of zeros, however long it is',
    from: 3,
    plan: { ...SMALL, bases: ['huge'], hugeBytes: 40 * 2 ** 40, isExtended: true, failoverAt: 30 },
    edits: [
      {
        file: JOURNAL,
        find: 'FRAME_PAYLOAD_MAX, FRAME_ZERO_MAX)',
        replace: 'FRAME_PAYLOAD_MAX, 2 ** 53)',
      },
    ],
  },
  'no-losses': {
    why: 'what a storage daemon that died had not flushed counts as written',
    from: 1,
    plan: { ...SMALL, bases: ['huge'], deaths: 0.003, failoverAt: 100 },
    edits: [
      {
        file: NBD_BASE,
        find: 'if (this.#answered > this.#synced)',
        replace: 'if (false)',
      },
    ],
  },
  'lock-ignored': {
    why: 'a base is written though its lock is lost',
    from: 61,
    edits: [
      {
        file: `${REPLICATOR}images/base-image.js`,
        find: 'if (this.lock?.isHeld !== false)',
        replace: 'if (true)',
      },
    ],
  },
  'strangers-begin': {
    why: 'who connects to the export of the copy begins another, though the first is under way',
    from: 5,
    plan: { ...SMALL, strangers: 0.05, breaks: 0, againAt: undefined },
    edits: [
      {
        file: SEED,
        find: 'if (!this.host.link.isCopyAtStake(this.disk.name))',
        replace: 'if (true)',
      },
    ],
  },
  'no-fence': {
    why: 'a copy that begins takes what is still sent over the connection of the one before',
    from: 24,
    plan: { ...SMALL, againAt: 40, latencyMs: 4 },
    edits: [{ file: SEED, find: "this.#phase = 'fenced';", replace: '' }],
  },
  forgiving: {
    why: 'a link that broke may connect again as if nothing were missing',
    from: 9,
    edits: [
      {
        file: `${REPLICATOR}sessions/disk-link-state.js`,
        find: "if (state.isBroken)\n                return { refusal: 'broken-link' };",
        replace: '',
      },
    ],
  },
  'no-merge': {
    why: 'each flush after a failover leaves an epoch in memory',
    from: 2,
    plan: { ...SMALL, bases: ['huge'], hangs: 0.9, latencyMs: 0, failoverAt: 60, turns: 3000 },
    edits: [{ file: JOURNAL, find: 'this.#mergeJournaled();\n', replace: '\n' }],
  },
  'late-backlog': {
    why: 'write-back does not hear of what has been journaled',
    from: 7,
    edits: [
      {
        file: JOURNAL,
        find: 'this.#mergeJournaled();\n            this.#options.onBacklog();',
        replace: 'this.#mergeJournaled();',
      },
    ],
  },
  'retired-first': {
    why: 'the bases count as the disks before their state files say so',
    from: 8,
    plan: { ...SMALL, diskErrors: 0.1, failoverAt: 60 },
    edits: [
      {
        file: JOURNAL,
        find:
          'await recordRetired();\n' +
          '        }\n' +
          '        catch (error) {\n' +
          "            this.#setState({ phase: 'securing', journal });\n" +
          '            throw error;\n' +
          '        }\n' +
          "        this.#setState({ phase: 'retired', journal });\n" +
          '        onRetired();',
        replace:
          "this.#setState({ phase: 'retired', journal });\n" +
          '            onRetired();\n            ' +
          'await recordRetired();\n        }\n        finally {}',
      },
    ],
  },
  'journal-closed-early': {
    why: 'a replica that is closed does not wait for what is done to its journal',
    from: 590,
    plan: { ...SMALL, end: 'close', latencyMs: 4, failoverAt: 60, turns: 200 },
    edits: [
      { file: JOURNAL, find: '        await this.#tail;\n', replace: '' },
      {
        file: JOURNAL,
        find: 'letGo() {\n        return this.#inTurn(async () => {',
        replace: 'letGo() {\n        return Promise.resolve().then(async () => {',
      },
    ],
  },
  'waiting-forever': {
    why: 'who waits for write-back is not told that the replica is closed',
    from: 15,
    edits: [
      {
        file: JOURNAL,
        find:
          'for (const { reject } of this.#waiters.splice(0))\n' +
          "            reject(this.#refusal('write back'));",
        replace: '',
      },
    ],
  },
  'forgets-at-close': {
    why: 'a replica that is closed drops its buffers while reads are answered',
    from: 22,
    edits: [
      {
        file: `${REPLICATOR}replica.js`,
        find: 'this.#buffers.answerAll();\n        this.#flushes.close();',
        replace: `this.#buffers.answerAll();
        for (const disk of this.disks) disk.dropOpen();
        this.#flushes.close();`,
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;
