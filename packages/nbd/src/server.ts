import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ByteSource, sourceOf, StreamSource } from './byte-source.js';
import { Connection } from './connection.js';
import type { ConnectionInfo, NbdServerEvent } from './connection.js';
import { NbdListenError } from './errors.js';
import type { Admission, NbdExport } from './export.js';
import { DEFAULT_LIMITS } from './limits.js';
import type { NbdLimits } from './limits.js';
import { UnixSocketPath } from './unix-socket.js';

/** Where to listen, and where it does. A unix socket is created with `mode`, by default 0600. */
export type NbdListenTarget =
  | { readonly path: string; readonly mode?: number }
  | { readonly host: string; readonly port: number };

export type NbdAddress =
  { readonly path: string } | { readonly host: string; readonly port: number };

export interface NbdServerOptions {
  /** What is served; a function is asked anew for each option that names an export. */
  readonly exports: readonly NbdExport[] | (() => readonly NbdExport[]);
  /** When bytes received may be acted upon; at once where left out. */
  readonly admission?: Admission;
  readonly limits?: Partial<NbdLimits>;
  /** Told about connections, for logs; must not throw. */
  readonly onEvent?: (event: NbdServerEvent) => void;
}

const AT_ONCE: Admission = { admit: (apply) => apply() };

let lastPeerId = 0;

/** Serves exports to NBD clients over fixed newstyle connections. */
export class NbdServer {
  readonly #options: NbdServerOptions;
  readonly #limits: NbdLimits;
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Map<Server, UnixSocketPath | undefined>();
  #closing = false;
  #idle: (() => void) | undefined;

  constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** A snapshot of all connections. */
  get connections(): readonly ConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.info);
  }

  /**
   * Takes connections at a unix socket or a TCP port (0 for any); may be called for several. A unix
   * socket that nobody answers on any more is replaced. Throws `NbdListenError` where the address
   * is taken or cannot be used.
   */
  async listen(target: NbdListenTarget): Promise<NbdAddress> {
    if (this.#closing) throw new NbdListenError('the server is closed');
    const unix = 'path' in target ? await UnixSocketPath.claim(target.path) : undefined;
    // A client may shut down its side and still wait for replies, so the end is answered only when
    // it is applied.
    const listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    listener.on('connection', (socket: Socket) => this.#accept(socket, target));
    try {
      const bound = once(listener, 'listening');
      if ('path' in target) listener.listen(unix?.bindPath);
      else listener.listen(target.port, target.host);
      await bound;
      await unix?.publish('path' in target ? (target.mode ?? 0o600) : 0);
    } catch (error) {
      listener.close();
      await unix?.withdraw();
      const where = 'path' in target ? target.path : `${target.host}:${target.port}`;
      throw new NbdListenError(`cannot listen on ${where}: ${String(error)}`, { cause: error });
    }
    this.#listeners.set(listener, unix);
    if ('path' in target) return { path: target.path };
    const { address, port } = listener.address() as AddressInfo;
    return { host: address, port };
  }

  /** Serves one connection that was made elsewhere; `address` is what logs show. */
  handle(stream: Duplex, address = 'injected'): void {
    this.#serve(new StreamSource(stream), address);
  }

  /**
   * Stops listening, removes the unix socket and ends all connections. Requests in flight have
   * `limits.closeMs` to be answered. Sessions learn of the end as ever, through the admission, even
   * if that is after this has resolved.
   */
  async close(): Promise<void> {
    this.#closing = true;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const [listener, unix] of listeners) {
      listener.close();
      await unix?.withdraw();
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
    const address =
      'path' in target
        ? `unix:${target.path}`
        : `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.#serve(sourceOf(socket), address);
  }

  #serve(source: ByteSource, address: string): void {
    if (this.#closing || this.#connections.size >= this.#limits.connections) {
      const reason = this.#closing ? 'the server is closing' : 'too many connections';
      this.#options.onEvent?.({ kind: 'turned-away', address, reason });
      source.stream.on('error', () => undefined);
      source.stream.destroy();
      return;
    }
    const { exports } = this.#options;
    const connection = new Connection(
      source,
      { id: ++lastPeerId, address },
      {
        exports: typeof exports === 'function' ? exports : () => exports,
        admission: this.#options.admission ?? AT_ONCE,
        limits: this.#limits,
        onEvent: this.#options.onEvent ?? (() => undefined),
        onGone: (gone) => {
          this.#connections.delete(gone);
          if (this.#connections.size === 0) this.#idle?.();
        },
      },
    );
    this.#connections.add(connection);
  }
}
