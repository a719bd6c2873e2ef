import { createServer, type Server } from 'node:http';
import { chmod, lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ControlMethod, GannetError, MESSAGE_BYTES_MAX } from '@gannet/contract';
import { RpcConnections } from './rpc-connection.js';

/** RpcConnections beyond this are turned away. */
const CALLERS_MAX = 64;

/** Serves a daemon's methods and events on a unix socket. */
export class ControlServer {
  readonly #http: Server = createServer((_request, response) => {
    response.writeHead(426).end();
  });
  readonly #sockets = new WebSocketServer({ server: this.#http, maxPayload: MESSAGE_BYTES_MAX });
  readonly #connections: RpcConnections;

  private constructor(
    private readonly path: string,
    methods: Readonly<Record<string, ControlMethod>>,
  ) {
    this.#connections = new RpcConnections(methods);
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
    this.#connections.publish(event);
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
    if (this.#sockets.clients.size > CALLERS_MAX) socket.close(1013, 'too many callers');
    else this.#connections.serve(socket);
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
