import { type RawData, WebSocket } from 'ws';
import { GannetError } from '../errors.js';
import {
  type ControlReply,
  MESSAGE_BYTES_MAX,
  type Progress,
  replySchema,
  textOf,
} from './protocol.js';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly progress: Progress | undefined;
}

/** A caller of a daemon's control socket. */
export class ControlClient {
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: unknown) => void>();
  #lastId = 0;

  private constructor(
    private readonly socket: WebSocket,
    private readonly path: string,
  ) {
    socket.on('message', (data: RawData) => this.#receive(textOf(data)));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#end());
  }

  /** @throws GannetError CONTROL_UNREACHABLE */
  static connect(path: string, timeoutMs = 5000): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws+unix:${path}:/`, {
        handshakeTimeout: timeoutMs,
        maxPayload: MESSAGE_BYTES_MAX,
      });
      socket.once('open', () => resolve(new ControlClient(socket, path)));
      socket.once('error', (cause) => reject(unreachable(path, cause.message, cause)));
    });
  }

  /** As connect, but waits for the daemon to come up. */
  static async connectWithin(path: string, timeoutMs: number): Promise<ControlClient> {
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

  /** @throws GannetError as the daemon chose it, with its code, remedy and exit */
  call(
    method: string,
    params: Record<string, unknown> = {},
    progress?: Progress,
  ): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(unreachable(this.path, 'the connection has ended'));
        return;
      }
      this.#pending.set(id, { resolve, reject, progress });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Listens to the daemon's events from now on. */
  async watch(listener: (event: unknown) => void): Promise<void> {
    this.#listeners.add(listener);
    await this.call('watch');
  }

  close(): void {
    this.socket.close();
  }

  #receive(text: string): void {
    let reply: ControlReply;
    try {
      reply = replySchema.parse(JSON.parse(text));
    } catch {
      this.socket.terminate();
      return;
    }
    if ('event' in reply) {
      for (const listener of this.#listeners) listener(reply.event);
      return;
    }
    const pending = this.#pending.get(reply.id);
    if ('progress' in reply) {
      pending?.progress?.(reply.progress);
      return;
    }
    this.#pending.delete(reply.id);
    if ('error' in reply) {
      const { code, message, remedy, exit } = reply.error;
      pending?.reject(new GannetError(code as GannetError['code'], message, remedy, exit));
    } else {
      pending?.resolve(reply.result);
    }
  }

  #end(): void {
    for (const { reject } of this.#pending.values()) {
      reject(unreachable(this.path, 'the daemon ended the connection'));
    }
    this.#pending.clear();
  }
}

function unreachable(path: string, why: string, cause?: unknown): GannetError {
  return new GannetError(
    'CONTROL_UNREACHABLE',
    `no daemon on ${path}: ${why}`,
    'Start it with `gannet secondary` or `gannet primary`, with the same --config.',
    'failed',
    { cause },
  );
}
