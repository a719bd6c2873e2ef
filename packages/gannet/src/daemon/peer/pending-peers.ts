import type { Socket } from 'node:net';
import { AcceptRateLimiter, networkOf } from '@gannet/nbd';

/** Connections from which no valid hello has come yet. */
const PENDING_MAX = 32;
const RATE_LIMITS = { acceptBurst: 32, acceptsPerSecond: 8 };

interface Pending {
  readonly socket: Socket;
  readonly network: string;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections over TCP that have not identified themselves as the peer yet. Their number and the
 * time that each may take are limited. When there are too many, the oldest one of the network that
 * has the most is closed, so that one network cannot keep others out.
 */
export class PendingPeers {
  readonly #rate = new AcceptRateLimiter(RATE_LIMITS);
  readonly #pending = new Map<string, Pending>();

  constructor(
    private readonly patienceMs: number,
    private readonly onTurnedAway: (address: string, reason: string) => void,
  ) {}

  /** Takes in a new connection. */
  receive(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    // Access to a unix socket is a matter of file permissions.
    if (remoteAddress === undefined) return;
    const network = networkOf(remoteAddress);
    if (!this.#rate.tryAccept(network)) {
      this.#turnAway(socket, 'too many new connections from this address');
      return;
    }
    if (this.#pending.size >= PENDING_MAX) this.#makeRoom();
    const key = `${remoteAddress}:${remotePort}`;
    const timer = setTimeout(
      () => this.#turnAway(socket, 'it sent no hello in time'),
      this.patienceMs,
    );
    this.#pending.set(key, { socket, network, timer });
    socket.once('close', () => {
      clearTimeout(timer);
      if (this.#pending.get(key)?.socket !== socket) return;
      this.#pending.delete(key);
      this.onTurnedAway(key, 'it closed the connection without a hello');
    });
  }

  /** No longer pending: accepted, or rejected. `socket` is the connection, or TLS on top of it. */
  accept({ remoteAddress, remotePort }: Socket): void {
    const key = `${remoteAddress}:${remotePort}`;
    clearTimeout(this.#pending.get(key)?.timer);
    this.#pending.delete(key);
  }

  close(): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  #makeRoom(): void {
    const networks = new Map<string, Pending[]>();
    for (const one of this.#pending.values()) {
      networks.set(one.network, [...(networks.get(one.network) ?? []), one]);
    }
    let largest: Pending[] = [];
    for (const group of networks.values()) if (group.length > largest.length) largest = group;
    const oldest = largest[0];
    if (oldest) this.#turnAway(oldest.socket, 'too many connections were waiting to be accepted');
  }

  #turnAway(socket: Socket, reason: string): void {
    this.onTurnedAway(`${socket.remoteAddress}:${socket.remotePort}`, reason);
    // At once, because `close` comes later, and the number of connections must be right by then.
    this.accept(socket);
    socket.on('error', () => undefined);
    socket.destroy();
  }
}
