import { chmod } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { UnixSocketPath } from '@gannet/nbd';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ControlMethod, MESSAGE_BYTES_MAX } from '@gannet/contract';
import { claimSocket, type SocketClaim } from '../claim-socket.js';
import { answerPlain } from './plain-http.js';
import { RpcConnections } from './rpc-connection.js';

/** Connections beyond this number are refused. */
const CONNECTIONS_MAX = 64;

const CLAIM: SocketClaim = {
  key: 'control',
  inUse: (path) => [
    `a daemon of this VM already runs: it listens on ${path}`,
    'Look at it with `gannet status`. To restart it, stop that process first.',
  ],
};

/**
 * Who may use the socket: the daemon's user; and a group, if root runs the daemon with one
 * (systemd's `Group=`). The group that any other user has by default may have more members.
 */
export function socketMode({ uid, gid }: { uid: number; gid: number }): number {
  return uid === 0 && gid !== 0 ? 0o660 : 0o600;
}

/** Serves a daemon's methods and events on a unix socket. */
export class ControlServer {
  readonly #http: Server = createServer((request, response) => {
    void answerPlain(this.methods, request, response);
  });
  readonly #sockets = new WebSocketServer({ server: this.#http, maxPayload: MESSAGE_BYTES_MAX });
  readonly #connections: RpcConnections;

  #path: UnixSocketPath | undefined;

  private constructor(private readonly methods: Readonly<Record<string, ControlMethod>>) {
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
    const server = new ControlServer(methods);
    server.#path = await claimSocket(server.#http, path, CLAIM);
    // It was created with the mode 0600, so it never had more users than these.
    const [uid, gid] = [process.geteuid?.() ?? -1, process.getegid?.() ?? -1];
    const mode = socketMode({ uid, gid });
    if (mode !== 0o600) await chmod(path, mode);
    return server;
  }

  /** Tells all watchers. */
  publish(event: unknown): void {
    this.#connections.publish(event);
  }

  async close(): Promise<void> {
    await this.#path?.withdraw();
    for (const socket of this.#sockets.clients) socket.close(1001);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#sockets.close();
    const impatient = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
      this.#http.closeAllConnections();
    }, 500);
    await closed;
    clearTimeout(impatient);
  }

  #serve(socket: WebSocket): void {
    if (this.#sockets.clients.size > CONNECTIONS_MAX) socket.close(1013, 'too many connections');
    else this.#connections.serve(socket);
  }
}
