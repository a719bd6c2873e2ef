import { createServer, type Server } from 'node:http';
import { chmod, lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ControlMethod, GannetError, MESSAGE_BYTES_MAX } from '@gannet/contract';
import { RpcConnections } from './rpc-connection.js';

/** Connections beyond this number are refused. */
const CONNECTIONS_MAX = 64;

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

  /**
   * Replaces the socket that a daemon left behind.
   *
   * @throws GannetError GANNET_BUSY if a daemon answers on that path
   * @throws GannetError GANNET_CONFIG if the socket cannot be created
   */
  static async listen(
    path: string,
    methods: Readonly<Record<string, ControlMethod>>,
  ): Promise<ControlServer> {
    const there = await lstat(path).catch(() => undefined);
    if (there && !there.isSocket()) {
      throw new GannetError(
        'GANNET_CONFIG',
        `cannot listen on ${path}: a file that is not a socket has this name`,
        'Move that file away, or set `control` to another path.',
      );
    }
    if (there && (await someoneAnswers(path))) {
      throw new GannetError(
        'GANNET_BUSY',
        `a daemon of this VM already runs: it listens on ${path}`,
        'Look at it with `gannet status`. To restart it, stop that process first.',
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
        'GANNET_CONFIG',
        `cannot listen on ${path}: ${why}`,
        'Create its folder, writable for the user that the daemon runs as.',
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
    if (this.#sockets.clients.size > CONNECTIONS_MAX) socket.close(1013, 'too many connections');
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
    // Anything but a refusal may be a busy daemon.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
