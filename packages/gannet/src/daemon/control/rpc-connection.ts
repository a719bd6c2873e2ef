import { type RawData, WebSocket } from 'ws';
import {
  type ControlMethod,
  type ControlReply,
  type ControlRequest,
  describeError,
  GannetError,
  NO_REQUEST_ID,
  requestSchema,
  textOf,
} from '@gannet/contract';

/** A watcher that does not read is dropped rather than buffered for. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;

/** Answers requests on WebSockets, and sends events to those that asked for them with `watch`. */
export class RpcConnections {
  readonly #watchers = new Set<WebSocket>();

  constructor(private readonly methods: Readonly<Record<string, ControlMethod>>) {}

  /**
   * From now on, messages of this socket are requests.
   *
   * @param actor whose they are; without it, requests say so themselves
   */
  serve(socket: WebSocket, actor?: string): void {
    socket.on('error', () => socket.terminate());
    socket.on('close', () => this.#watchers.delete(socket));
    socket.on('message', (data) => void this.#answer(socket, data, actor));
  }

  /** Tells all watchers. */
  publish(event: unknown): void {
    for (const socket of this.#watchers) send(socket, { event });
  }

  #methodOf(name: string): ControlMethod | undefined {
    return Object.hasOwn(this.methods, name) ? this.methods[name] : undefined;
  }

  async #answer(socket: WebSocket, data: RawData, actor?: string): Promise<void> {
    let id = NO_REQUEST_ID;
    try {
      const request = parseRequest(textOf(data));
      id = request.id;
      if (request.method === 'watch') this.#watchers.add(socket);
      const method = request.method === 'watch' ? () => ({}) : this.#methodOf(request.method);
      if (!method) {
        const known = Object.keys(this.methods).join(', ');
        throw new GannetError(
          'GANNET_CONTROL_PROTOCOL',
          `this daemon has no method ${request.method}`,
          `Use one of: ${known}.`,
          'usage',
        );
      }
      const progress = (value: unknown): void => send(socket, { id, progress: value });
      const result: unknown = await method(request.params, progress, actor ?? request.actor);
      send(socket, { id, result: result ?? null });
    } catch (error) {
      send(socket, { id, error: describeError(error) });
    }
  }
}

function send(socket: WebSocket, reply: ControlReply): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > UNREAD_BYTES_MAX) socket.terminate();
  else socket.send(JSON.stringify(reply));
}

function parseRequest(text: string): ControlRequest {
  try {
    return requestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new GannetError(
      'GANNET_CONTROL_PROTOCOL',
      'the message is not a request { id, method, params }',
      'Use a `gannet` of the same version as the daemon.',
      'usage',
      { cause },
    );
  }
}
