/** The connection on which the engines of both hosts exchange memory: unix socket, TCP or TLS. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { openSslReason, type UnixSocketPath } from '@gannet/nbd';
import { type Address, describeError, GannetError, migrationAddress } from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { claimSocket, type SocketClaim } from '../claim-socket.js';

const CLAIM: SocketClaim = {
  key: 'secondary.migrate',
  inUse: (path) => [
    `the guest's memory cannot be awaited on ${path}: another server answers there`,
    'Set `secondary.migrate` to a path that nothing else uses, or end that process.',
  ],
};

/**
 * Connects to the secondary's daemon.
 *
 * @param migrate `primary.migrate` of the configuration
 * @throws GannetError GANNET_NOT_READY if nobody takes it there
 */
export async function dialMemory(
  migrate: string,
  credentials: Credentials | undefined,
  signal?: AbortSignal,
): Promise<Socket> {
  const address = addressOf(migrate);
  const socket = dial(address, credentials);
  const isSecured = address.type === 'inet' && address.tls === true;
  try {
    await once(socket, isSecured ? 'secureConnect' : 'connect', signal ? { signal } : {});
    socket.setNoDelay();
    return socket;
  } catch (cause) {
    socket.on('error', () => undefined);
    socket.destroy();
    const message = `the guest's memory cannot be sent to ${migrate}: ${openSslReason(cause)}`;
    const remedy =
      'Let `primary.migrate` lead to `secondary.migrate`, where the daemon of the secondary ' +
      'listens once its QEMU is there. Both configurations need `engine: vsmr`.';
    throw new GannetError('GANNET_NOT_READY', message, remedy, 'failed', { cause });
  }
}

function dial(address: Address, credentials: Credentials | undefined): Socket {
  if (address.type === 'unix') return connect({ path: address.path });
  const { host, port, tls } = address;
  return tls ? connectTls({ host, port, ...credentials?.client() }) : connect({ host, port });
}

export interface MemoryListenerOptions {
  /** `secondary.migrate` of the configuration. */
  readonly migrate: string;
  readonly credentials: Credentials | undefined;
  readonly onConnection: (socket: Socket) => void;
  /** For the log. */
  readonly onRefused: (reason: string, address: string) => void;
}

/** Where a secondary's daemon waits for the engine of its primary. */
export class MemoryListener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #path: UnixSocketPath | undefined;

  private constructor(private readonly options: MemoryListenerOptions) {
    const { credentials, onRefused } = options;
    const address = addressOf(options.migrate);
    if (address.type === 'unix' || !address.tls) {
      this.#server = createServer((socket) => this.#admit(socket));
      return;
    }
    const server = createTlsServer(credentials?.server() ?? {}, (socket) => {
      this.#identify(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      onRefused(`no TLS: ${openSslReason(error)}`, nameOf(socket));
    });
    credentials?.onReload(() => server.setSecureContext(credentials.server()));
    this.#server = server;
  }

  /** @throws GannetError GANNET_CONFIG, GANNET_BUSY if it cannot listen there */
  static async listen(options: MemoryListenerOptions): Promise<MemoryListener> {
    const listener = new MemoryListener(options);
    const address = addressOf(options.migrate);
    if (address.type === 'unix') {
      listener.#path = await claimSocket(listener.#server, address.path, CLAIM);
      return listener;
    }
    try {
      listener.#server.listen(address.port, address.host);
      await once(listener.#server, 'listening');
    } catch (cause) {
      const message = `the guest's memory cannot be awaited: ${(cause as Error).message}`;
      const remedy = 'Set `secondary.migrate` to an address that this host can listen on.';
      throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
    }
    return listener;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#path?.withdraw();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #identify(socket: TLSSocket): void {
    try {
      this.options.credentials?.identify(socket);
    } catch (error) {
      this.options.onRefused(describeError(error).message, nameOf(socket));
      socket.destroy();
      return;
    }
    this.#admit(socket);
  }

  #admit(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setNoDelay();
    this.options.onConnection(socket);
  }
}

function addressOf(migrate: string): Address {
  const address = migrationAddress(migrate);
  if (address === undefined) throw new Error(`not an address: ${migrate}`);
  return address;
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
