// Sockets of the process under test. Bytes travel in two legs: over a network that cuts them
// anywhere and takes its time, into the kernel's receive buffer, all of which the next poll of the
// process reads.

import { Duplex } from 'node:stream';
import type { EventLoop, Pollable } from './event-loop.js';
import type { Random } from '@gannet/test-support/random.js';

const READ_BYTES = 64 * 1024;

export class SimulatedSocket extends Duplex implements Pollable {
  /** What the other end gets. */
  onBytes: (bytes: Buffer) => void = () => undefined;
  onClosed: () => void = () => undefined;
  #travelling = Buffer.alloc(0);
  #received = Buffer.alloc(0);
  #outgoing: Buffer[] = [];
  #wantsMore = true;
  #end: 'fin' | 'reset' | undefined;
  #endSeen = false;
  readonly #unwatch: () => void;

  constructor(
    readonly name: string,
    loop: EventLoop,
    private readonly random: Random,
    /** A unix socket's bytes are in the receiver's buffer as soon as they are written. */
    private readonly isLocal: boolean,
  ) {
    super({ allowHalfOpen: true });
    this.#unwatch = loop.watch(this);
  }

  get isCut(): boolean {
    return this.#end !== undefined;
  }

  /** From the other end. */
  send(bytes: Buffer): void {
    if (this.#end) return;
    if (this.isLocal) this.#received = Buffer.concat([this.#received, bytes]);
    else this.#travelling = Buffer.concat([this.#travelling, bytes]);
  }

  /** The network moves, or not. */
  move(): void {
    const { length } = this.#travelling;
    if (length > 0) this.#arrive(this.random.chance(0.5) ? length : 1 + this.random.below(length));
    if (this.#outgoing.length > 0) {
      const bytes = Buffer.concat(this.#outgoing.splice(0));
      this.onBytes(bytes);
    }
  }

  get isMoving(): boolean {
    return this.#travelling.length > 0 || this.#outgoing.length > 0;
  }

  /** The other end is gone; some of what it had sent still arrives. */
  cut(how: 'fin' | 'reset'): void {
    if (this.#end) return;
    this.#arrive(this.random.below(this.#travelling.length + 1));
    this.#travelling = Buffer.alloc(0);
    this.#outgoing = [];
    this.#end = how;
  }

  isReady(): boolean {
    if (this.destroyed || this.#endSeen) return false;
    return this.#wantsMore && (this.#received.length > 0 || this.#end !== undefined);
  }

  deliver(): void {
    if (this.#received.length === 0) {
      this.#endSeen = true;
      if (this.#end === 'reset') this.destroy(new Error('ECONNRESET'));
      else this.push(null);
      return;
    }
    while (this.#received.length > 0 && this.#wantsMore) {
      const chunk = Buffer.from(this.#received.subarray(0, READ_BYTES));
      this.#received = this.#received.subarray(chunk.length);
      this.#wantsMore = this.push(chunk);
    }
  }

  override _read(): void {
    this.#wantsMore = true;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (!this.#end) this.#outgoing.push(Buffer.from(chunk));
    done();
  }

  override _final(done: () => void): void {
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#unwatch();
    this.onClosed();
    done(error);
  }

  #arrive(length: number): void {
    this.#received = Buffer.concat([this.#received, this.#travelling.subarray(0, length)]);
    this.#travelling = this.#travelling.subarray(length);
  }
}
