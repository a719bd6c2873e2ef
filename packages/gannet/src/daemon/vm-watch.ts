import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';
import { type Address, qmpTargetOf } from '../config.js';

export type VmState = 'awaited' | 'ready' | 'hung' | 'lost';

/**
 * Stands beside one QEMU: waits for its QMP socket, asks it now and then whether it still answers, and notices its
 * end. A QEMU that ends is not waited for again: what comes next at that socket is another VM.
 */
export class VmWatch {
  readonly #abort = new AbortController();
  readonly #listeners = new Set<(state: VmState, reason: string) => void>();
  #state: VmState = 'awaited';
  #timer: NodeJS.Timeout | undefined;
  #qmp: QmpClient | undefined;
  #isAsking = false;

  /** @param silenceMs without an answer for so long it counts as hung */
  constructor(
    private readonly address: Address,
    private readonly silenceMs: number,
  ) {}

  get state(): VmState {
    return this.#state;
  }

  /** The connection, once it is there. */
  get qmp(): QmpClient | undefined {
    return this.#qmp;
  }

  on(listener: (state: VmState, reason: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits for QEMU. `onConnected` runs before anything that QEMU says from then on is delivered.
   *
   * @throws QmpError when something answers that is no QMP; QmpAbortError after close()
   */
  async connect(onConnected: (qmp: QmpClient) => void | Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    const target = qmpTargetOf(this.address);
    const qmp = await connectWithRetry({ target, deadlineMs: 0, signal });
    this.#qmp = qmp;
    qmp.onEnd((error) => {
      clearInterval(this.#timer);
      this.#set('lost', error?.message ?? 'closed');
    });
    await onConnected(qmp);
    this.#timer = setInterval(() => this.#ask(qmp), this.silenceMs / 4);
    this.#set('ready', 'it answers');
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#timer);
    this.#listeners.clear();
    await this.#qmp?.close();
  }

  /** One question at a time: a hung QEMU is asked once. */
  #ask(qmp: QmpClient): void {
    if (this.#isAsking || this.#state === 'lost') return;
    this.#isAsking = true;
    const late = setTimeout(
      () => this.#set('hung', `no answer for ${this.silenceMs} ms`),
      this.silenceMs,
    );
    qmp.call(
      'query-status',
      undefined,
      (result) => {
        clearTimeout(late);
        this.#isAsking = false;
        if (result.ok && this.#state === 'hung') this.#set('ready', 'it answers again');
      },
      { timeoutMs: 0 },
    );
  }

  #set(state: VmState, reason: string): void {
    if (this.#state === state || this.#state === 'lost') return;
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state, reason);
  }
}
