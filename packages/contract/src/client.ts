import { type RawData, WebSocket } from 'ws';
import { GannetError } from './errors.js';
import {
  MESSAGE_BYTES_MAX,
  NO_REQUEST_ID,
  type Progress,
  type ReplyError,
  replyOf,
  textOf,
} from './control.js';
import { SILENCE_MS } from './errors.js';
import type { DaemonEvent } from './events.js';
import type { MethodName, MethodParams, MethodResult, Reporter } from './methods.js';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly progress: Progress | undefined;
}

const PINGS_PER_SILENCE = 4;

/**
 * A client of a daemon's control socket. While it waits for an answer it pings the daemon: a call
 * may take as long as it needs while the daemon lives, and fails soon after the daemon has ended.
 */
export class ControlClient {
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: DaemonEvent) => void>();
  #lastId = 0;
  #vigil: NodeJS.Timeout | undefined;
  /** Counted, not timed: a client that was itself suspended must not blame the daemon. */
  #unansweredPings = 0;

  private constructor(
    private readonly socket: WebSocket,
    private readonly path: string,
    private readonly silenceMs: number,
    private readonly actor: string | undefined,
  ) {
    socket.on('message', (data: RawData) => {
      this.#unansweredPings = 0;
      this.#receive(textOf(data));
    });
    socket.on('pong', () => (this.#unansweredPings = 0));
    socket.on('close', () => this.#end());
  }

  /**
   * @param actor who asks, in words, for the daemon's log and events
   * @param silenceMs without a sign of life of the daemon for so long, connecting and calls fail
   * @throws GannetError GANNET_CONTROL_UNREACHABLE, GANNET_TIMEOUT
   * @throws GannetError GANNET_USAGE if no path is named
   */
  static async connect(
    path: string,
    silenceMs = SILENCE_MS,
    actor?: string,
  ): Promise<ControlClient> {
    expectUsable(path, silenceMs);
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws+unix:${path}:/`, {
        maxPayload: MESSAGE_BYTES_MAX,
        perMessageDeflate: false,
      });
      // The kernel connects us to a process that is stopped.
      const late = setTimeout(() => {
        reject(silent(path, silenceMs));
        socket.terminate();
      }, silenceMs);
      socket.once('open', () => {
        clearTimeout(late);
        resolve(new ControlClient(socket, path, silenceMs, actor));
      });
      socket.on('error', (cause) => {
        clearTimeout(late);
        const { code } = cause as NodeJS.ErrnoException;
        reject(
          code === 'EACCES' ? forbidden(path, cause) : unreachable(path, cause.message, cause),
        );
      });
    });
  }

  /** As connect, but waits for the daemon to come up. */
  static async connectWithin(path: string, timeoutMs: number): Promise<ControlClient> {
    expectUsable(path, timeoutMs);
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      try {
        return await ControlClient.connect(path);
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /**
   * Calls a method of the daemon. Its result is typed as of this version: a daemon of another
   * version may add keys, states and kinds of events.
   *
   * @throws GannetError as the daemon chose it, with its code, remedy and exit
   * @throws GannetError GANNET_TIMEOUT if the daemon is silent
   */
  call<M extends MethodName>(
    method: M,
    params?: MethodParams<M>,
    progress?: Reporter<M>,
  ): Promise<MethodResult<M>> {
    return this.request(method, params, progress as Progress | undefined) as Promise<
      MethodResult<M>
    >;
  }

  /** As `call`, for a method that this version need not know. */
  request(method: string, params: object = {}, progress?: Progress): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(unreachable(this.path, 'the connection has ended'));
        return;
      }
      this.#pending.set(id, { resolve, reject, progress });
      this.socket.send(JSON.stringify({ id, method, params, actor: this.actor }));
      this.#watchOver();
    });
  }

  /** Listens to the daemon's events from now on. */
  async watch(listener: (event: DaemonEvent) => void): Promise<void> {
    this.#listeners.add(listener);
    await this.call('watch');
  }

  /** close(), for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  close(): void {
    this.socket.close();
  }

  #watchOver(): void {
    if (this.#vigil) return;
    this.#unansweredPings = 0;
    this.socket.ping();
    this.#vigil = setInterval(() => {
      if (++this.#unansweredPings < PINGS_PER_SILENCE) this.socket.ping();
      else this.#fail(silent(this.path, this.silenceMs));
    }, this.silenceMs / PINGS_PER_SILENCE);
  }

  #settled(): void {
    if (this.#pending.size > 0) return;
    clearInterval(this.#vigil);
    this.#vigil = undefined;
  }

  #receive(text: string): void {
    const reply = replyOf(text);
    if (reply === undefined) {
      this.socket.terminate();
      return;
    }
    if ('event' in reply) {
      for (const listener of this.#listeners) listener(reply.event as DaemonEvent);
      return;
    }
    if (reply.id === NO_REQUEST_ID && 'error' in reply) {
      // The daemon cannot say which one it did not understand.
      this.#fail(errorOf(reply.error));
      return;
    }
    const pending = this.#pending.get(reply.id);
    if ('progress' in reply) {
      pending?.progress?.(reply.progress);
      return;
    }
    this.#pending.delete(reply.id);
    if ('error' in reply) {
      pending?.reject(errorOf(reply.error));
    } else {
      pending?.resolve(reply.result);
    }
    this.#settled();
  }

  #end(): void {
    this.#fail(unreachable(this.path, 'the daemon ended the connection'));
  }

  #fail(error: GannetError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#settled();
    this.socket.terminate();
  }
}

/** For callers without types. */
function expectUsable(path: string, ms: number): void {
  if (typeof path === 'string' && path !== '' && Number.isFinite(ms)) return;
  const message = "the client needs the path of a daemon's control socket, and a time in ms";
  const remedy = 'Pass the path that findDaemon() finds, or the configuration names.';
  throw new GannetError('GANNET_USAGE', message, remedy, 'usage');
}

function errorOf({ code, message, remedy, exit }: ReplyError): GannetError {
  return new GannetError(code as GannetError['code'], message, remedy, exit);
}

function silent(path: string, silenceMs: number): GannetError {
  return new GannetError(
    'GANNET_TIMEOUT',
    `the daemon on ${path} has given no sign of life for ${silenceMs / 1000} s`,
    'It is stopped or hangs: check its process and its log. It may still do what it was asked ' +
      'to; --timeout waits longer.',
    'timeout',
  );
}

function forbidden(path: string, cause: Error): GannetError {
  return new GannetError(
    'GANNET_CONTROL_UNREACHABLE',
    `this user may not use the daemon's socket ${path}`,
    'Run the command as the user that runs the daemon, usually root, or as a member of the group ' +
      'of that socket (docs/how-to/systemd.md).',
    'failed',
    { cause },
  );
}

function unreachable(path: string, why: string, cause?: unknown): GannetError {
  return new GannetError(
    'GANNET_CONTROL_UNREACHABLE',
    `no daemon on ${path}: ${why.replace(` ${path}`, '')}`,
    'Start it with `gannet secondary` or `gannet primary`, with the same configuration.',
    'failed',
    { cause },
  );
}
