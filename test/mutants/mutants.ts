/** A way to break the code, and the text that breaks it. */
export interface Mutant {
  readonly name: string;
  /** What goes wrong then. */
  readonly why: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  /** Compiled file, from the root of the workspace. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}

const CHECKPOINTER = 'packages/checkpointer/dist/checkpointer.js';
const DISK = 'packages/replicator/dist/disk/disk.js';
const WRITE_BACK = 'packages/checkpointer/dist/write-back.js';

const COMMIT_CASE = 'this.#commit();\n                break;';
const FAILOVER_CASE = 'this.#failOver();\n                break;';

/** Write-back that is two epochs late: harmless by itself, but it lets epochs pile up. */
const SLOW_WRITE_BACK: Edit = {
  file: WRITE_BACK,
  find: 'await batch.ready();',
  replace: 'await batch.ready(); await new Promise((resolve) => setTimeout(resolve, 1200));',
};

/** Must stay green: what the mutants are compared with. */
export const HARMLESS: Mutant = {
  name: 'slow write-back',
  why: 'nothing: epochs wait in memory',
  edits: [SLOW_WRITE_BACK],
};

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commit 60 ms late, without a gate',
    why: 'the secondary reads the last epoch, and writes into the one that is dropped',
    edits: [
      { file: CHECKPOINTER, find: 'this.#replica.gate.close();', replace: '' },
      {
        file: CHECKPOINTER,
        find: COMMIT_CASE,
        replace: `setTimeout(() => {
                    this.#replica.gate.close();
                    this.#commit();
                    this.#replica.gate.open();
                }, 60);
                break;`,
      },
      {
        file: CHECKPOINTER,
        find: FAILOVER_CASE,
        replace: `this.#replica.gate['close'](); ${FAILOVER_CASE}`,
      },
    ],
  },
  {
    name: "no commit at COLO's start",
    why: 'the replica goes on seeding while both VMs run',
    edits: [
      {
        file: CHECKPOINTER,
        find: COMMIT_CASE,
        replace: `if (this.hasBegun) this.#commit();
                this.hasBegun = true;
                break;`,
      },
    ],
  },
  {
    name: 'primary writes visible to the secondary',
    why: 'the secondary reads what its memory has not seen yet',
    edits: [
      {
        file: DISK,
        find: 'this.#layers = [top, ...[...committed, ...parts].reverse()];',
        replace: 'this.#layers = [top, this.#primary.top, ...[...committed, ...parts].reverse()];',
      },
    ],
  },
  {
    name: "the secondary's buffer kept at commit",
    why: 'the secondary reads its own writes of a past that its memory has forgotten',
    edits: [
      {
        file: DISK,
        find: `this.#secondary.drop();
        return counts;`,
        replace: 'return counts;',
      },
    ],
  },
  {
    name: 'write-back applied over a newer epoch',
    why: 'the base ends with old contents where an older epoch was written last',
    edits: [
      SLOW_WRITE_BACK,
      {
        file: 'packages/replicator/dist/disk/merge-epochs.js',
        find: 'export function* runsOf(layers, maxBytes, maxZeroBytes = ZERO_BYTES_MAX) {',
        replace: `export function* runsOf(layers, maxBytes, maxZeroBytes = ZERO_BYTES_MAX) {
            layers = [...layers].reverse();`,
      },
    ],
  },
];
