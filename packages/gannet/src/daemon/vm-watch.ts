import { setTimeout as sleep } from 'node:timers/promises';
import { QmpClient, QmpConnectionError, QmpTimeoutError } from 'qemu-qmp-client';
import { type Address, qmpTargetOf } from '../config.js';
import { describeError } from '../errors.js';

export type VmState = 'awaited' | 'ready' | 'hung' | 'lost';

const RETRY_MS = 100;

export interface VmHandlers {
  /** A QEMU is there. Runs before anything that it says from then on is delivered; then it is `ready`. */
  readonly onConnected: (qmp: QmpClient) => void | Promise<void>;
  /** That has failed: QEMU stays as it was, not `ready`. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Stands beside a QEMU: waits for its QMP socket, asks it now and then whether it still answers, notices its end, and
 * waits for what comes next at that socket.
 *
 *   awaited ──► ready ◄─► hung       `lost` is the word that QEMU has ended, on which the other side may take over:
 *                 │ ▲                 only a socket on which nobody listens says that. A connection that breaks, or
 *                 ▼ │                 a socket that accepts and says nothing, does not.
 *   awaited ◄─── lost
 */
export class VmWatch {
  readonly #abort = new AbortController();
  readonly #listeners = new Set<(state: VmState, reason: string) => void>();
  #handlers: VmHandlers | undefined;
  #state: VmState = 'awaited';
  #trouble: string | undefined;
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

  /** What keeps it from being ready, where that is more than that nobody is there. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** The last connection. */
  get qmp(): QmpClient | undefined {
    return this.#qmp;
  }

  on(listener: (state: VmState, reason: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whoever is here next has the QEMU that is connected, and all that come after it, until close(). */
  attend(handlers: VmHandlers): void {
    const isNew = this.#handlers === undefined;
    this.#handlers = handlers;
    if (isNew) void this.#stand();
    else if (this.#qmp && this.#state === 'ready') void this.#greet(this.#qmp);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#timer);
    this.#listeners.clear();
    await this.#qmp?.close();
  }

  async #stand(): Promise<void> {
    const { signal } = this.#abort;
    /** Why the last connection ended, until the next attempt has said what that means. */
    let broke: string | undefined;
    while (!signal.aborted) {
      const qmp = await this.#dial(broke);
      if (qmp) {
        if (broke !== undefined) this.#set('awaited', `${broke}; it listens`);
        this.#qmp = qmp;
        this.#trouble = undefined;
        await this.#greet(qmp);
        broke = (await qmp.closed)?.message ?? 'closed';
        clearInterval(this.#timer);
        this.#isAsking = false;
      } else {
        broke = undefined;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #dial(broke: string | undefined): Promise<QmpClient | undefined> {
    const target = qmpTargetOf(this.address);
    const { signal } = this.#abort;
    try {
      return await QmpClient.connect({ target, signal, connectTimeoutMs: this.silenceMs });
    } catch (error) {
      if (!signal.aborted) this.#judge(error, broke);
      return undefined;
    }
  }

  /** What an attempt that failed says of QEMU. */
  #judge(error: unknown, broke: string | undefined): void {
    const code = systemCodeOf(error);
    if (isNobody(error, code)) {
      this.#trouble = undefined;
      if (broke !== undefined) this.#set('lost', broke);
      else if (this.#state === 'hung')
        this.#set('lost', 'nobody listens at its QMP socket any more');
      return;
    }
    const words = describeError(error).message;
    const trouble =
      error instanceof QmpTimeoutError || code === 'EAGAIN'
        ? `its QMP socket accepts and says nothing: it serves one client; is another program connected?`
        : `what is at its QMP socket can't be asked: ${words}`;
    const isNews = this.#trouble !== trouble;
    this.#trouble = trouble;
    // It may well live: `lost` would be too much to say, or to go on saying.
    const state = broke === undefined && this.#state !== 'hung' ? 'awaited' : 'hung';
    if (state !== this.#state) this.#set(state, trouble);
    else if (isNews) this.#tell(trouble);
  }

  async #greet(qmp: QmpClient): Promise<void> {
    try {
      await this.#handlers?.onConnected(qmp);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#set('awaited', describeError(error).message);
      this.#handlers?.onTrouble(error);
      return;
    }
    if (qmp.state !== 'open') return;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#ask(qmp), this.silenceMs / 4);
    this.#set('ready', 'it answers');
  }

  /** One question at a time: a hung QEMU is asked once. */
  #ask(qmp: QmpClient): void {
    if (this.#isAsking) return;
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
    if (this.#state === state) return;
    this.#state = state;
    this.#tell(reason);
  }

  #tell(reason: string): void {
    for (const listener of [...this.#listeners]) listener(this.#state, reason);
  }
}

/** Nobody listens there, or who did is going. EAGAIN is not that: its queue of connections is full. */
function isNobody(error: unknown, code: string): boolean {
  if (!(error instanceof QmpConnectionError)) return false;
  return error.code === 'early-close' || code === 'ENOENT' || code === 'ECONNREFUSED';
}

function systemCodeOf(error: unknown): string {
  const { cause } = error as { cause?: NodeJS.ErrnoException };
  return cause?.code ?? '';
}
