import { setTimeout as sleep } from 'node:timers/promises';
import { QmpClient, QmpConnectionError, QmpTimeoutError } from 'qemu-qmp-client';
import { type Address, describeError, GannetError } from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { qmpTargetOf } from '../../tls/qmp-target.js';
import { SuspendAwareTimer } from '../suspend-aware-timer.js';
import { QEMU_PROCESSES, type QemuProcesses } from './qemu-process.js';
import { QmpListener } from './qmp-listener.js';

export type VmState = 'awaited' | 'ready' | 'hung' | 'lost';

const RETRY_MS = 100;
const UNPROVEN =
  'nothing answers at its QMP socket, but nothing proves that it has ended: ' +
  'was the socket removed or replaced?';

const OWN_SOCKET =
  'Give Gannet a QMP socket of its own; QEMU can have several. If the guest does not run, QEMU ' +
  'hangs: find out what its process waits for.';
const SEE_QEMU = 'It is tried again. See whether the configuration fits this QEMU: `gannet check`.';

export interface VmHandlers {
  /**
   * A QEMU is there. Runs before anything that it says from then on is delivered; then it is
   * `ready`.
   */
  readonly onConnected: (qmp: QmpClient) => void | Promise<void>;
  /** That has failed: QEMU stays as it was, not `ready`. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Stands beside a QEMU: waits for its QMP socket, asks it now and then whether it still answers,
 * notices its end, and waits for what comes next at that socket.
 *
 *   awaited ──► ready ◄─► hung
 *                 │ ▲     │
 *                 ▼ │     │
 *   awaited ◄─── lost ◄───┘
 *
 * `lost` means that QEMU has ended, and the other side may take over on it. Only the end of the
 * listening socket to which it was connected, and of the QEMU process that owned it, proves that. A
 * connection that breaks, a socket file that is gone, a forwarder that ends, or a socket that
 * accepts and says nothing prove nothing: whatever can't be known counts as hung.
 */
export class VmWatch {
  readonly #abort = new AbortController();
  readonly #listeners = new Set<(state: VmState, reason: string) => void>();
  #handlers: VmHandlers | undefined;
  #state: VmState = 'awaited';
  #trouble: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #qmp: QmpClient | undefined;
  /** Whose end is the end of the QEMU of the last connection. */
  #listener: Promise<QmpListener> | undefined;
  #isAsking = false;
  /** The last attempt told nothing yet. */
  #isUnclear = false;

  /**
   * @param silenceMs without an answer for this long it counts as hung
   * @param processes of this host, for whose socket that at `address` is
   */
  constructor(
    private readonly address: Address,
    private readonly silenceMs: number,
    private readonly credentials?: Credentials,
    private readonly processes: QemuProcesses = QEMU_PROCESSES,
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

  /** Tells the QEMU of the last connection from the next one; undefined if it is not known. */
  async process(): Promise<string | undefined> {
    return (await this.#listener)?.process;
  }

  /** Why nothing can be asked of the QEMU of `vm` now. */
  refusal(vm: string): GannetError {
    if (this.#state === 'hung') {
      const why = this.#trouble ?? `no answer to query-status for ${this.silenceMs} ms`;
      const remedy = 'Check what the QEMU process waits for. Try again once it responds.';
      return new GannetError(
        'GANNET_TIMEOUT',
        `the QEMU of ${vm} hangs: ${why}`,
        remedy,
        'timeout',
      );
    }
    const why = this.#trouble ? `: ${this.#trouble}` : '';
    if (this.#qmp?.state === 'open')
      return notReady(`the QEMU of ${vm} can't be used${why}`, SEE_QEMU);
    return why === ''
      ? absence(vm, this.#state)
      : notReady(`the QEMU of ${vm} can't be reached${why}`, OWN_SOCKET);
  }

  on(listener: (state: VmState, reason: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Whoever is here next has the QEMU that is connected, and all that come after it, until close().
   */
  attend(handlers: VmHandlers): void {
    const isNew = this.#handlers === undefined;
    this.#handlers = handlers;
    if (isNew) void this.#stand();
    else if (this.#qmp?.state === 'open') void this.#greet(this.#qmp);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#listeners.clear();
    await this.#qmp?.close();
  }

  async #stand(): Promise<void> {
    const { signal } = this.#abort;
    /** Why the last connection ended, until it is clear what that means. */
    let broke: string | undefined;
    while (!signal.aborted) {
      const qmp = await this.#dial(broke);
      if (qmp instanceof QmpClient) {
        if (broke !== undefined) this.#set('awaited', `${broke}; it listens`);
        this.#qmp = qmp;
        this.#trouble = undefined;
        // Not awaited: whoever attends must listen before QEMU's first event.
        this.#listener = QmpListener.at(this.address, this.processes);
        await this.#greet(qmp);
        broke = (await qmp.closed)?.message ?? 'closed';
        clearInterval(this.#timer);
        this.#isAsking = false;
      } else {
        if (qmp === 'judged') broke = undefined;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #dial(broke: string | undefined): Promise<QmpClient | 'judged' | 'unclear'> {
    const { signal } = this.#abort;
    try {
      const target = qmpTargetOf(this.address, this.credentials);
      const qmp = await QmpClient.connect({ target, signal, connectTimeoutMs: this.silenceMs });
      this.#isUnclear = false;
      return qmp;
    } catch (error) {
      return signal.aborted ? 'judged' : this.#judge(error, broke);
    }
  }

  /** What an attempt that failed says of QEMU. */
  async #judge(error: unknown, broke: string | undefined): Promise<'judged' | 'unclear'> {
    const code = systemCodeOf(error);
    const isGoing = error instanceof QmpConnectionError && error.code === 'QMP_EARLY_CLOSE';
    const isNobody = code === 'ENOENT' || code === 'ECONNREFUSED';
    const wasThere = broke !== undefined || this.#state === 'hung';
    // ECONNRESET: it has ended before it accepted the connection.
    if (isGoing || isNobody || (wasThere && code === 'ECONNRESET')) {
      const hasEnded = wasThere && (await this.#hasEnded());
      if (this.#abort.signal.aborted) return 'judged';
      if (hasEnded || !wasThere) this.#trouble = undefined;
      if (hasEnded) this.#set('lost', broke ?? 'its QMP socket has closed');
      if (hasEnded || !wasThere) return 'judged';
      // The kernel closes the sockets of a process one by one: look once more.
      this.#isUnclear = !this.#isUnclear;
      if (broke !== undefined && this.#isUnclear) return 'unclear';
    }
    // One that left before it was ready is no loss.
    if (isNobody) this.#suspect(UNPROVEN, this.#state !== 'awaited');
    else this.#suspect(troubleOf(error, code), wasThere);
    return 'judged';
  }

  async #hasEnded(): Promise<boolean> {
    return (await (await this.#listener)?.hasEnded()) ?? false;
  }

  /** It may well live: `lost` would be too much to say, or to go on saying. */
  #suspect(trouble: string, wasThere: boolean): void {
    const isNews = this.#trouble !== trouble;
    this.#trouble = trouble;
    const state = wasThere ? 'hung' : 'awaited';
    if (state !== this.#state) this.#set(state, trouble);
    else if (isNews) this.#tell(trouble);
  }

  /**
   * Tried again until it succeeds: a QEMU in COLO that nobody watches would be worse than one
   * trouble.
   */
  async #greet(qmp: QmpClient): Promise<void> {
    try {
      await this.#handlers?.onConnected(qmp);
      // A listener that is not known yet could not be said to have ended.
      await this.#listener;
    } catch (error) {
      this.#noteFailedGreeting(qmp, error);
      return;
    }
    if (qmp.state !== 'open') return;
    this.#trouble = undefined;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#ask(qmp), this.silenceMs / 4);
    this.#set('ready', 'it answers');
  }

  #noteFailedGreeting(qmp: QmpClient, error: unknown): void {
    if (this.#abort.signal.aborted) return;
    const { message } = describeError(error);
    const isNews = this.#trouble !== message;
    this.#trouble = message;
    this.#set('awaited', message);
    if (isNews) this.#handlers?.onTrouble(error);
    if (qmp.state !== 'open') return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (qmp.state === 'open') void this.#greet(qmp);
    }, this.silenceMs);
  }

  /** One question at a time: a hung QEMU is asked once. */
  #ask(qmp: QmpClient): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const late = new SuspendAwareTimer(this.silenceMs, () =>
      this.#set('hung', `no answer for ${this.silenceMs} ms`),
    );
    qmp.call(
      'query-status',
      undefined,
      (result) => {
        late.stop();
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

function notReady(message: string, remedy: string): GannetError {
  return new GannetError('GANNET_NOT_READY', message, remedy);
}

/** Why nothing can be asked where there is no connection. */
function absence(vm: string, state: Exclude<VmState, 'hung'>): GannetError {
  switch (state) {
    case 'awaited':
      return notReady(
        `the QEMU of ${vm} is not there yet: nothing listens at its QMP socket`,
        'Start QEMU with the QMP socket that the configuration names as `qmp`.',
      );
    case 'ready':
      return notReady(
        `the QEMU of ${vm} has just closed its QMP connection`,
        `Try again in a moment; \`gannet status ${vm}\` shows whether QEMU has ended.`,
      );
    case 'lost':
      return notReady(
        `the QEMU of ${vm} has ended`,
        `If it was protected, run \`gannet failover ${vm}\` on the secondary host; else start it ` +
          'again.',
      );
  }
}

/** Why a QEMU that may well be there can't be asked. EAGAIN: its queue of connections is full. */
function troubleOf(error: unknown, code: string): string {
  return error instanceof QmpTimeoutError || code === 'EAGAIN'
    ? 'its QMP socket accepts and says nothing: QEMU hangs, or another program is connected'
    : `what is at its QMP socket can't be asked: ${describeError(error).message}`;
}

function systemCodeOf(error: unknown): string {
  const { cause } = error as { cause?: NodeJS.ErrnoException };
  return cause?.code ?? '';
}
