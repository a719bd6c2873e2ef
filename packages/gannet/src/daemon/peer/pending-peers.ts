import type { Socket } from 'node:net';
import { AcceptRateLimiter, networkOf } from '@gannet/nbd';

/** Connections that have not said a right hello yet. */
const GUESTS_MAX = 32;
const DOOR = { acceptBurst: 32, acceptsPerSecond: 8 };

interface Guest {
  readonly socket: Socket;
  readonly network: string;
  readonly timer: NodeJS.Timeout;
}

/**
 * Who has connected over TCP and is not known to be the peer yet: a few, for a short time. One more
 * takes the place of the oldest of whichever address has most, so that a crowd keeps nobody else
 * out.
 */
export class PendingPeers {
  readonly #door = new AcceptRateLimiter(DOOR);
  readonly #pending = new Map<string, Guest>();

  constructor(
    private readonly patienceMs: number,
    private readonly onTurnedAway: (address: string, reason: string) => void,
  ) {}

  /** Connected, whatever it will turn out to be. */
  receive(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    // On a unix socket the file says who may come.
    if (remoteAddress === undefined) return;
    const network = networkOf(remoteAddress);
    if (!this.#door.tryAccept(network)) {
      this.#turnAway(socket, 'too many new connections from this address');
      return;
    }
    if (this.#pending.size >= GUESTS_MAX) this.#makeRoom();
    const key = `${remoteAddress}:${remotePort}`;
    const timer = setTimeout(() => this.#turnAway(socket, 'it said no hello'), this.patienceMs);
    this.#pending.set(key, { socket, network, timer });
    socket.once('close', () => {
      clearTimeout(timer);
      if (this.#pending.get(key)?.socket !== socket) return;
      this.#pending.delete(key);
      this.onTurnedAway(key, 'it left without a hello');
    });
  }

  /** Is one no more: `socket` is that connection, or TLS upon it. */
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
    const crowds = new Map<string, Guest[]>();
    for (const guest of this.#pending.values()) {
      crowds.set(guest.network, [...(crowds.get(guest.network) ?? []), guest]);
    }
    let largest: Guest[] = [];
    for (const crowd of crowds.values()) if (crowd.length > largest.length) largest = crowd;
    const oldest = largest[0];
    if (oldest) this.#turnAway(oldest.socket, 'too many connections were saying hello');
  }

  #turnAway(socket: Socket, reason: string): void {
    this.onTurnedAway(`${socket.remoteAddress}:${socket.remotePort}`, reason);
    // At once: the event comes later, and others are being counted.
    this.accept(socket);
    socket.on('error', () => undefined);
    socket.destroy();
  }
}
