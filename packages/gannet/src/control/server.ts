import { createServer, type Server } from 'node:http';
import { chmod, lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { describeError, GannetError } from '../errors.js';
import {
  type ControlMethod,
  type ControlReply,
  type ControlRequest,
  MESSAGE_BYTES_MAX,
  requestSchema,
  textOf,
} from './protocol.js';

/** Callers beyond this are turned away. */
const CALLERS_MAX = 64;
/** A watcher that does not read is dropped rather than buffered for. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;

/** Serves a daemon's methods and events on a unix socket. */
export class ControlServer {
  readonly #http: Server = createServer((_request, response) => {
    response.writeHead(426).end();
  });
  readonly #sockets = new WebSocketServer({ server: this.#http, maxPayload: MESSAGE_BYTES_MAX });
  readonly #watchers = new Set<WebSocket>();

  private constructor(
    private readonly path: string,
    private readonly methods: Readonly<Record<string, ControlMethod>>,
  ) {
    this.#sockets.on('connection', (socket) => this.#serve(socket));
    this.#sockets.on('error', () => undefined);
  }

  /** @throws GannetError BUSY when a daemon answers at that path already; CONFIG when it can't be had */
  static async listen(
    path: string,
    methods: Readonly<Record<string, ControlMethod>>,
  ): Promise<ControlServer> {
    const there = await lstat(path).catch(() => undefined);
    if (there && !there.isSocket()) {
      throw new GannetError(
        'CONFIG',
        `can't listen on ${path}: something that is no socket is there`,
        'Give `control` another path.',
      );
    }
    if (there && (await someoneAnswers(path))) {
      throw new GannetError(
        'BUSY',
        `a daemon already listens on ${path}`,
        'Stop it first, or give this one another `control` in its configuration.',
      );
    }
    await rm(path, { force: true });
    const server = new ControlServer(path, methods);
    const umask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        server.#http.once('error', reject);
        server.#http.listen(path, resolve);
      });
    } catch (cause) {
      const why = (cause as Error).message;
      throw new GannetError(
        'CONFIG',
        `can't listen on ${path}: ${why}`,
        'Make its folder.',
        'failed',
        { cause },
      );
    } finally {
      process.umask(umask);
    }
    await chmod(path, 0o600);
    return server;
  }

  /** Tells all watchers. */
  publish(event: unknown): void {
    for (const socket of this.#watchers) send(socket, { event });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.close(1001);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#sockets.close();
    const impatient = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
    }, 500);
    await closed;
    clearTimeout(impatient);
    await rm(this.path, { force: true });
  }

  #serve(socket: WebSocket): void {
    if (this.#sockets.clients.size > CALLERS_MAX) {
      socket.close(1013, 'too many callers');
      return;
    }
    socket.on('error', () => socket.terminate());
    socket.on('close', () => this.#watchers.delete(socket));
    socket.on('message', (data) => void this.#answer(socket, data));
  }

  #methodOf(name: string): ControlMethod | undefined {
    return Object.hasOwn(this.methods, name) ? this.methods[name] : undefined;
  }

  async #answer(socket: WebSocket, data: RawData): Promise<void> {
    let id = -1;
    try {
      const request = parseRequest(textOf(data));
      id = request.id;
      if (request.method === 'watch') this.#watchers.add(socket);
      const method = request.method === 'watch' ? () => ({}) : this.#methodOf(request.method);
      if (!method) {
        const known = Object.keys(this.methods).join(', ');
        throw new GannetError(
          'CONTROL_PROTOCOL',
          `this daemon has no method ${request.method}`,
          `It knows: ${known}.`,
          'usage',
        );
      }
      const progress = (value: unknown): void => send(socket, { id, progress: value });
      const result: unknown = await method(request.params, progress);
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
      'CONTROL_PROTOCOL',
      'a message that is no request { id, method, params }',
      'Call with a `gannet` of the same version as the daemon.',
      'usage',
      { cause },
    );
  }
}

function someoneAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal may be a daemon that is merely busy.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
