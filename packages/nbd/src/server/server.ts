import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ByteSource, sourceOf, StreamSource } from './byte-source.js';
import { checkAddress, type NbdAddress } from '../address.js';
import { BusyPoll } from './busy-poll.js';
import { ServerConnection } from './connection.js';
import type { ConnectionInfo, NbdServerEvent } from './connection-info.js';
import { AcceptRateLimiter, networkOf } from './accept-rate-limiter.js';
import { NbdConnectionError, NbdListenError, NbdUsageError } from '../errors.js';
import type { Admission, NbdExport, PeerInfo } from '../export.js';
import { DEFAULT_LIMITS } from '../limits.js';
import type { NbdLimits } from '../limits.js';
import type { NbdServerTls } from './server-tls.js';
import { UnixSocketPath } from './unix-socket.js';

/**
 * Where to listen. A unix socket is created with `mode`, by default 0600. With `tls`, a client must
 * use TLS before anything about exports is answered.
 */
export type NbdListenTarget = (
  | { readonly path: string; readonly mode?: number }
  | { readonly host: string; readonly port: number }
) & { readonly tls?: NbdServerTls };

/** Options of `NbdServer`. */
export interface NbdServerOptions {
  /** What is served. A function is called for each option that names an export. */
  readonly exports: readonly NbdExport[] | (() => readonly NbdExport[]);
  /** Decides when received bytes may be processed; by default at once. */
  readonly admission?: Admission;
  readonly limits?: Partial<NbdLimits>;
  /** Offer extended headers, which QEMU asks for since 8.2; true by default. */
  readonly extendedHeaders?: boolean;
  /**
   * How long the event loop polls for the next request after a reply, in milliseconds, as long as
   * requests arrive that fast. Doubles the throughput of a client with one request in flight.
   * Default 0: never.
   */
  readonly busyPollMs?: number;
  /** Called with events of connections, for logs. What it throws becomes an uncaught exception. */
  readonly onEvent?: (event: NbdServerEvent) => void;
}

const IMMEDIATE: Admission = { admit: (apply) => apply() };

let lastPeerId = 0;

/**
 * Serves exports to NBD clients over fixed newstyle connections.
 *
 * @example
 * const server = new NbdServer({ exports: [new MemoryExport('disk', 64 * 1024 * 1024)] });
 * await server.listen({ path: '/run/nbd.sock' });
 */
export class NbdServer {
  readonly #options: NbdServerOptions;
  readonly #limits: NbdLimits;
  readonly #busyPoll: BusyPoll;
  readonly #onEvent: (event: NbdServerEvent) => void;
  readonly #connections = new Set<ServerConnection>();
  readonly #acceptRate: AcceptRateLimiter;
  readonly #listeners = new Map<Server, UnixSocketPath | undefined>();
  #isClosing = false;
  #idle: (() => void) | undefined;

  /** @throws NbdUsageError if it has no exports */
  constructor(options: NbdServerOptions) {
    // Callers without types may have forgotten or misspelt them.
    const { exports } = Object(options) as Partial<NbdServerOptions>;
    if (typeof exports !== 'function' && !Array.isArray(exports)) {
      throw new NbdUsageError('`exports` must be an array of exports, or a function that has one');
    }
    if (Array.isArray(exports)) expectOwnNames(exports);
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#onEvent = isolated(options.onEvent);
    this.#busyPoll = new BusyPoll(options.busyPollMs ?? 0);
    this.#acceptRate = new AcceptRateLimiter(this.#limits);
  }

  /** A snapshot of all connections. */
  get connections(): readonly ConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.info);
  }

  /**
   * Listens on a unix socket or a TCP port (0 for any). May be called several times. A unix socket
   * on which no server answers is replaced.
   *
   * @returns the address, with the port that was chosen
   * @throws NbdListenError if the address is in use or cannot be used
   * @throws NbdUsageError if it is no address
   */
  async listen(target: NbdListenTarget): Promise<NbdAddress> {
    checkAddress(target);
    if (this.#isClosing) throw new NbdListenError('the server is closed');
    // A client may shut down its side and still wait for replies, so our side is closed only when
    // the end is applied.
    const listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    listener.on('connection', (socket: Socket) => this.#accept(socket, target));
    let unix: UnixSocketPath | undefined;
    if ('path' in target) unix = await UnixSocketPath.listen(listener, target.path, target.mode);
    else await listenOn(listener, target);
    this.#listeners.set(listener, unix);
    if ('path' in target) return { path: target.path };
    const { address, port } = listener.address() as AddressInfo;
    return { host: address, port };
  }

  /** Serves a connection that was made elsewhere. `address` is shown in logs. */
  handle(stream: Duplex, address = 'injected'): void {
    this.#serve(new StreamSource(stream), { address });
  }

  /** close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Stops listening, removes the unix sockets and ends all connections. Requests in flight have
   * `limits.closeMs` to be answered. The ends of sessions pass the admission as always, so they may
   * be applied after this has resolved.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const [listener, unix] of listeners) {
      await unix?.withdraw();
      listener.close();
    }
    for (const connection of this.#connections) connection.shutdown();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const grace = setTimeout(resolve, this.#limits.closeMs);
      this.#idle = () => {
        clearTimeout(grace);
        resolve();
      };
    });
    for (const connection of this.#connections) connection.destroy();
  }

  #accept(socket: Socket, target: NbdListenTarget): void {
    const { tls } = target;
    const { remoteAddress = '?', remotePort = 0 } = socket;
    const peer =
      'path' in target
        ? ({ address: `unix:${target.path}`, transport: 'unix' } as const)
        : ({ address: `${remoteAddress}:${remotePort}`, transport: 'tcp' } as const);
    const origin = 'path' in target ? peer.address : networkOf(remoteAddress);
    // Access to a unix socket is limited by its mode, so there is no rate limit.
    if (!('path' in target) && !this.#acceptRate.tryAccept(origin)) {
      this.#turnAway(socket, peer.address, 'too many new connections from this address');
      return;
    }
    // TLS needs the socket itself.
    this.#serve(tls ? new StreamSource(socket) : sourceOf(socket), peer, origin, tls);
  }

  #turnAway(stream: Duplex, address: string, reason: string): void {
    this.#onEvent({ kind: 'turned-away', address, reason });
    stream.on('error', () => undefined);
    stream.destroy();
  }

  #serve(
    source: ByteSource,
    peer: Omit<PeerInfo, 'id'>,
    origin: string = peer.address,
    tls?: NbdServerTls,
  ): void {
    if (this.#isClosing) {
      this.#turnAway(source.stream, peer.address, 'the server is closing');
      return;
    }
    this.#makeRoom();
    const { exports } = this.#options;
    const connection = new ServerConnection(
      source,
      { ...peer, id: ++lastPeerId },
      {
        exports: typeof exports === 'function' ? exports : () => exports,
        admission: this.#options.admission ?? IMMEDIATE,
        limits: this.#limits,
        busyPoll: this.#busyPoll,
        origin,
        extendedHeaders: this.#options.extendedHeaders ?? true,
        tls,
        mayOpen: () => this.#inUse() < this.#limits.connections,
        onEvent: this.#onEvent,
        onGone: () => {
          this.#connections.delete(connection);
          if (this.#connections.size === 0) this.#idle?.();
        },
      },
    );
    this.#connections.add(connection);
  }

  #inUse(): number {
    let count = 0;
    for (const { phase } of this.#connections) if (phase === 'in-use') count += 1;
    return count;
  }

  /** At the limit, drops a connection in its handshake: the oldest of the largest origin. */
  #makeRoom(): void {
    const origins = new Map<string, ServerConnection[]>();
    let handshakes = 0;
    for (const connection of this.#connections) {
      if (connection.phase !== 'handshake') continue;
      handshakes += 1;
      const crowd = origins.get(connection.origin);
      if (crowd === undefined) origins.set(connection.origin, [connection]);
      else crowd.push(connection);
    }
    if (handshakes < this.#limits.handshakes) return;
    let largest: ServerConnection[] = [];
    for (const crowd of origins.values()) if (crowd.length > largest.length) largest = crowd;
    largest[0]?.drop(new NbdConnectionError('too many connections in the handshake phase'));
  }
}

/** Of two with one name, no client would ever get the second. */
function expectOwnNames(exports: readonly NbdExport[]): void {
  const names = exports.map((one) => (Object(one) as Partial<NbdExport>).name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice === undefined) return;
  throw new NbdUsageError(`two exports are called ${JSON.stringify(twice)}: name each one once`);
}

async function listenOn(
  listener: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(port, host, resolve);
    });
  } catch (cause) {
    listener.close();
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'in-use' : 'unusable';
    throw new NbdListenError(`cannot listen on ${host}:${port}: ${message}`, reason, { cause });
  }
}

/** What the listener throws is thrown in a microtask: it must not disturb the connection. */
function isolated(listener: NbdServerOptions['onEvent']): (event: NbdServerEvent) => void {
  return (event) => {
    try {
      listener?.(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
