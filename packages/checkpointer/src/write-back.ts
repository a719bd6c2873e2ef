import { CheckpointerError } from './errors.js';
import type { Clock, WriteBackBatch, WriteBackPort, WriteBackRun } from './ports.js';

export interface WriteBackOptions {
  readonly target: WriteBackPort;
  readonly clock: Clock;
  /** Writes under way at once. */
  readonly depth?: number;
  /** Pause before a failed write or sync is tried again. */
  readonly retryMs?: number;
  readonly onEvent?: (event: WriteBackEvent) => void;
}

export type WriteBackEvent =
  | {
      readonly kind: 'batch';
      readonly epochs: readonly number[];
      readonly writes: number;
      readonly bytes: number;
      readonly ms: number;
    }
  | { readonly kind: 'retry'; readonly error: Error; readonly attempt: number };

const DEPTH = 4;
const RETRY_MS = 1000;

/**
 * Brings committed epochs to the base images, in the background: whatever is committed when a batch begins is merged
 * into it, so pages that change in every epoch are written once; batches follow one another strictly, and each ends
 * with an fdatasync. A write that fails is tried again until it works: the pages stay in memory meanwhile, reads stay
 * right, and who listens is told.
 */
export class WriteBack {
  readonly #target: WriteBackPort;
  readonly #clock: Clock;
  readonly #depth: number;
  readonly #retryMs: number;
  readonly #onEvent: (event: WriteBackEvent) => void;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #isWanted = false;

  constructor(options: WriteBackOptions) {
    this.#target = options.target;
    this.#clock = options.clock;
    this.#depth = options.depth ?? DEPTH;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#onEvent = options.onEvent ?? (() => undefined);
  }

  /** There may be something to write. Cheap, and safe to call at any time. */
  kick(): void {
    this.#isWanted = true;
    if (this.#abort.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#isWanted) this.kick();
    });
  }

  /** Settles when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Gives up what is under way at the next write; nothing is lost, it stays in memory. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false;
      for (let batch = this.#target.nextBatch(); batch; batch = this.#target.nextBatch()) {
        try {
          await this.#write(batch);
        } catch (error) {
          if (this.#abort.signal.aborted) return;
          throw error;
        }
      }
    }
  }

  async #write(batch: WriteBackBatch): Promise<void> {
    const startMs = this.#clock.now();
    let writes = 0;
    let bytes = 0;
    await batch.ready();
    // All workers draw from the one iterator: a run is gathered only when it is about to be written.
    const runs = batch.runs()[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (let next = runs.next(); !next.done; next = runs.next()) {
        const run: WriteBackRun = next.value;
        await this.#retrying(() => run.write());
        writes++;
        bytes += run.length;
      }
    };
    await Promise.all(Array.from({ length: this.#depth }, worker));
    await this.#retrying(() => batch.sync());
    batch.finish();
    const ms = this.#clock.now() - startMs;
    this.#onEvent({ kind: 'batch', epochs: batch.epochs, writes, bytes, ms });
  }

  async #retrying(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (this.#abort.signal.aborted) {
        throw new CheckpointerError('WRITE_BACK_STOPPED', 'write-back was told to stop');
      }
      try {
        await work();
        return;
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        this.#onEvent({ kind: 'retry', error, attempt });
        await this.#clock.sleep(this.#retryMs, this.#abort.signal).catch(() => undefined);
      }
    }
  }
}
