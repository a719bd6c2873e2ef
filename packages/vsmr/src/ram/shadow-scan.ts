import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { PageSet } from '../page-set.js';
import type { Shadow, ShadowData } from './shadow.js';

const BITS = 32;
const ALL = 0xffff_ffff;

/** What a thread is given when it starts. */
export interface ScanData {
  /** Of the file; all threads of a process share its descriptors. */
  readonly fd: number;
  /** As long as the file. */
  readonly shadow: ShadowData;
  /** The next piece that nobody has taken yet. */
  readonly next: SharedArrayBuffer;
  /** The words of a PageSet: pages that are to be compared. */
  readonly wanted: SharedArrayBuffer;
}

/** Options of a ShadowScan. */
export interface ScanOptions extends Pick<ScanData, 'fd'> {
  readonly shadow: Shadow;
  readonly threads: number;
}

/** A thread's answer: pages that have changed, or why it cannot say. */
export type ScanAnswer = { readonly pages: Uint32Array } | { readonly error: string };

/** Threads that compare a file with its shadow, and bring the shadow up to date. */
export class ShadowScan {
  readonly #next = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #wanted: Uint32Array<SharedArrayBuffer>;
  readonly #threads: readonly ScanThread[];

  constructor({ threads, fd, shadow }: ScanOptions) {
    const words = Math.ceil(shadow.pages / BITS);
    this.#wanted = new Uint32Array(new SharedArrayBuffer(words * Uint32Array.BYTES_PER_ELEMENT));
    const data = { fd, shadow: shadow.data, next: this.#next, wanted: this.#wanted.buffer };
    this.#threads = Array.from({ length: threads }, () => new ScanThread(data));
  }

  /**
   * One comparison; one at a time. If it fails, the shadow of some pages has been brought up to
   * date all the same, and nobody knows of which.
   *
   * @param wanted the pages that are compared; all by default
   * @returns lists of pages, in no order
   * @throws Error of the first thread that has failed, when all of them have ended
   */
  async run(wanted?: PageSet): Promise<Uint32Array[]> {
    if (wanted === undefined) this.#wanted.fill(ALL);
    else this.#wanted.set(wanted.words);
    Atomics.store(new Int32Array(this.#next), 0, 0);
    // A thread that is still at it would take from the next comparison.
    const answers = await Promise.allSettled(this.#threads.map((thread) => thread.scan()));
    return answers.map((answer) => {
      if (answer.status === 'rejected') throw answer.reason;
      return answer.value;
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

class ScanThread {
  readonly #worker: Worker;
  readonly #ended = new AbortController();

  constructor(data: ScanData) {
    const file = new URL('./shadow-thread.js', import.meta.url);
    this.#worker = new Worker(file, { workerData: data });
    // It keeps no process alive, except while somebody waits for it.
    this.#worker.unref();
    this.#worker.on('error', (error) => this.#ended.abort(error));
    this.#worker.on('exit', () => this.#ended.abort(new Error('a thread that compares has ended')));
  }

  async scan(): Promise<Uint32Array> {
    const { signal } = this.#ended;
    signal.throwIfAborted();
    this.#worker.ref();
    try {
      const answered = once(this.#worker, 'message', { signal });
      this.#worker.postMessage('go');
      const [answer] = (await answered) as [ScanAnswer];
      if ('error' in answer) throw new Error(answer.error);
      return answer.pages;
    } finally {
      this.#worker.unref();
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
