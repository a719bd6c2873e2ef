import type { SpillError } from '../errors.js';
import { MemoryBudget } from '../memory/memory-budget.js';
import type { SlabPool } from '../memory/slab-pool.js';
import type { SpillFile } from '../memory/spill-file.js';
import type { ReplicaEvent } from '../replica-events.js';
import type { MemoryLimits } from '../replica-options.js';
import type { ReplicaState } from '../replica-state.js';
import { type BufferBytes, bufferBytesOf, type Disk } from './disk.js';
import { Spill } from './spill.js';

/** The part of a primary's link that is asked when memory runs short. */
export interface BufferedLink {
  readonly loss: string | undefined;
  readonly lossWasClean: boolean;
  lose(reason: string): void;
  spoil(): void;
}

export interface ReplicaBuffersOptions {
  readonly pool: SlabPool;
  readonly disks: readonly Disk[];
  readonly limits: MemoryLimits;
  /** Where pages go when memory runs short; undefined without `spill`. */
  readonly spillFile: SpillFile | undefined;
  readonly link: BufferedLink;
  readonly state: () => ReplicaState;
  readonly emit: (event: ReplicaEvent) => void;
  readonly report: (error: SpillError) => void;
}

/**
 * The buffers of a replica, in real time, within their limits (I7).
 *
 * Beyond the hard limit the protection goes, and P with it. But a replica that has lost its primary
 * drops nothing that anybody could still use: it may be the only copy of the VM. Its own VM waits
 * then, for the answers to its writes, until it is stopped or takes over.
 */
export class ReplicaBuffers {
  readonly #options: ReplicaBuffersOptions;
  readonly #budget: MemoryBudget;
  #isSecondaryRunning = true;
  #areWritesHeld = false;

  constructor(options: ReplicaBuffersOptions) {
    this.#options = options;
    const { pool, disks, limits, spillFile: file, emit, report } = options;
    const spill =
      file &&
      new Spill({
        ...{ file, pool, disks, limits },
        isWanted: () => options.state() === 'protected',
        onTrouble: (error) => {
          if (error) report(error);
          emit({ kind: 'spill', trouble: error?.message });
        },
      });
    this.#budget = new MemoryBudget({
      ...{ pool, limits },
      now: () => performance.now(),
      after: (ms, callback) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
      openBytes: () => {
        const { primary, secondary } = this.bytes;
        return primary + secondary;
      },
      // A primary that is lost makes no checkpoint, which would free memory.
      maySlow: () => !this.#isWaiting,
      onPressure: (usedBytes) => {
        const { softBytes } = limits;
        if (!this.#isWaiting) emit({ kind: 'memory-pressure', usedBytes, softBytes });
      },
      onSpill: spill && (() => spill.kick()),
      onFull: () => this.#full(),
    });
  }

  get bytes(): BufferBytes {
    return bufferBytesOf(this.#options.disks);
  }

  /** How many answers to writes were delayed so far because memory was short. */
  get slowedWrites(): number {
    return this.#budget.slowedWrites;
  }

  /** Whether the secondary VM's writes are not answered until it stops. */
  get areWritesHeld(): boolean {
    return this.#areWritesHeld;
  }

  /** After a buffered write: the promise, if any, must settle before the write is answered. */
  charge(bytes: number): void | Promise<void> {
    if (this.#isWaiting) this.#dropUseless();
    return this.#budget.charge(bytes);
  }

  /** The secondary VM has stopped, or resumed. One that stops waits for all of its answers. */
  secondaryRuns(isRunning: boolean): void {
    this.#isSecondaryRunning = isRunning;
    if (!isRunning) this.answerAll();
  }

  epochBegins(): void {
    this.#budget.epochBegins();
    this.#options.pool.trim();
  }

  /** The bases have taken something: there may be room again. */
  hasShrunk(): void {
    const { pool, limits } = this.#options;
    if (pool.usedBytes <= limits.hardBytes) this.answerAll();
  }

  answerAll(): void {
    this.#areWritesHeld = false;
    this.answerHeld();
  }

  /** Answers what waits so far. If writes are held, later ones still are. */
  answerHeld(): void {
    this.#budget.release();
  }

  get #isWaiting(): boolean {
    const { link, state } = this.#options;
    return state() === 'protected' && link.loss !== undefined;
  }

  /** @returns whether the write is not answered for now */
  #full(): boolean {
    const { pool, limits, link, emit } = this.#options;
    const { hardBytes } = limits;
    if (!this.#isWaiting) {
      link.lose(`the buffers passed their hard limit of ${hardBytes} bytes`);
      this.#dropUseless();
      this.answerAll();
    }
    const { usedBytes } = pool;
    // A VM that is stopped waits for its answers, and writes no more.
    if (!this.#isWaiting || !this.#isSecondaryRunning || usedBytes <= hardBytes) return false;
    if (!this.#areWritesHeld) emit({ kind: 'writes-held', usedBytes, hardBytes });
    this.#areWritesHeld = true;
    return true;
  }

  /**
   * Drops P when memory is short and no checkpoint can need it. One that has stopped the secondary
   * VM may still be completed by a primary that died in it, as long as the link's end was clean.
   */
  #dropUseless(): void {
    const { pool, limits, link, disks } = this.#options;
    const mayBeNeeded = !this.#isSecondaryRunning && link.lossWasClean;
    if (mayBeNeeded || pool.usedBytes <= limits.softBytes) return;
    link.spoil();
    for (const disk of disks) disk.dropPrimary();
  }
}
