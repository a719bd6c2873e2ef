import { CheckpointerError } from './errors.js';
import { isolateListener } from './isolate-listener.js';
import type { WriteBackClock, BatchPort, WriteBackPort, RunPort } from './ports.js';

/** Options of `WriteBack`. */
export interface WriteBackOptions {
  readonly target: WriteBackPort;
  readonly clock: WriteBackClock;
  /** Writes under way at a time; 2 by default, so that reads of the guest find a free thread. */
  readonly depth?: number;
  /** Pause before a failed write or sync is retried, in milliseconds; 1000 by default. */
  readonly retryMs?: number;
  /** What it throws becomes an uncaught exception. */
  readonly onEvent?: (event: WriteBackEvent) => void;
}

/**
 * What write-back has done: written a batch, or failed and about to retry. Of failures with one
 * cause, only the first since the last batch is reported: a disk that is full stays so for long.
 */
export type WriteBackEvent =
  | {
      readonly kind: 'batch';
      readonly epochs: readonly number[];
      readonly writes: number;
      readonly bytes: number;
      readonly ms: number;
    }
  | { readonly kind: 'retry'; readonly error: Error; readonly attempt: number };

/**
 * Node.js has four threads for all files (UV_THREADPOOL_SIZE). Each write holds one, for as long as
 * a slow disk takes; the guest's reads of the base need one, too.
 */
const DEPTH = 2;
const RETRY_MS = 1000;

/**
 * Writes committed epochs to the base images in the background. Everything that is committed when a
 * batch begins is merged into it, so a page that changes in every epoch is written once. Batches
 * follow one another and each ends with a sync. A failed write is retried until it succeeds; a
 * batch whose sync fails is written again. Until then the pages stay in memory and reads stay
 * correct.
 */
export class WriteBack {
  readonly #target: WriteBackPort;
  readonly #clock: WriteBackClock;
  readonly #depth: number;
  readonly #retryMs: number;
  readonly #onEvent: (event: WriteBackEvent) => void;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #isWanted = false;
  /** Causes of failures that were reported since the last batch. */
  readonly #reported = new Set<string>();

  constructor(options: WriteBackOptions) {
    this.#target = options.target;
    this.#clock = options.clock;
    this.#depth = options.depth ?? DEPTH;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#onEvent = isolateListener(options.onEvent);
  }

  /** Starts writing if there is something to write. Cheap, and may be called at any time. */
  kick(): void {
    this.#isWanted = true;
    if (this.#abort.signal.aborted) return;
    // Started in a microtask, so that a kick from within the first step finds it running.
    this.#running ??= Promise.resolve()
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined;
        if (this.#isWanted) this.kick();
      });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Resolves when the writes under way have ended. What was not written stays in memory. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#abort.signal.aborted) {
      this.#isWanted = false;
      for (let batch = this.#next(); batch; batch = this.#next()) {
        if (!(await this.#finish(batch))) {
          batch.abandon();
          return;
        }
      }
    }
  }

  #next(): BatchPort | undefined {
    return this.#abort.signal.aborted ? undefined : this.#target.nextBatch();
  }

  /** Writes a batch until all of it is on stable storage. @returns false if stopped first */
  async #finish(batch: BatchPort): Promise<boolean> {
    const startMs = this.#clock.now();
    for (let attempt = 1; !this.#abort.signal.aborted; attempt++) {
      let written: { writes: number; bytes: number };
      try {
        written = await this.#write(batch);
      } catch (cause) {
        if (cause instanceof CheckpointerError) break;
        // After a failed sync the kernel may have dropped what was written, and the next sync does
        // not report it (fsync(2), "EIO"). So everything is written again.
        await this.#pause(cause, attempt);
        continue;
      }
      // Not retried if it throws: the memory of the batch may be gone.
      batch.finish();
      this.#reported.clear();
      const ms = this.#clock.now() - startMs;
      this.#onEvent({ kind: 'batch', epochs: batch.epochs, ...written, ms });
      return true;
    }
    return false;
  }

  async #write(batch: BatchPort): Promise<{ writes: number; bytes: number }> {
    let writes = 0;
    let bytes = 0;
    await batch.ready();
    // All workers share one iterator: a run is merged only when it is about to be written.
    const runs = batch.runs()[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (let next = runs.next(); !next.done; next = runs.next()) {
        const run: RunPort = next.value;
        await this.#retrying(() => run.write());
        if (run.length > 0) writes++;
        bytes += run.length;
      }
    };
    // No write may be under way when this ends, even if one has failed.
    const ends = await Promise.allSettled(Array.from({ length: this.#depth }, worker));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (this.#abort.signal.aborted) throw stopped();
    await batch.sync();
    return { writes, bytes };
  }

  async #retrying(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (this.#abort.signal.aborted) throw stopped();
      try {
        await work();
        return;
      } catch (cause) {
        await this.#pause(cause, attempt);
      }
    }
  }

  async #pause(cause: unknown, attempt: number): Promise<void> {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const known = causeOf(error);
    if (!this.#reported.has(known)) this.#onEvent({ kind: 'retry', error, attempt });
    this.#reported.add(known);
    await this.#clock.sleep(this.#retryMs, this.#abort.signal).catch(() => undefined);
  }
}

/** What failures at different places have in common: a system's code, or else their words. */
function causeOf(error: Error): string {
  const { code } = (error.cause ?? error) as { readonly code?: unknown };
  return typeof code === 'string' ? code : error.message;
}

function stopped(): CheckpointerError {
  return new CheckpointerError('CHECKPOINT_WRITE_BACK_STOPPED', 'write-back was stopped');
}
