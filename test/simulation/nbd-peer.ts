// QEMU's end of an NBD connection: an encoder and a decoder of its own, so that a mistake in ours
// shows.

import type { SimulatedSocket } from './network.js';

const COMMANDS = { read: 0, write: 1, flush: 3, writeZeroes: 6 } as const;

/** Stands for an errno where there was no answer. */
export const LOST = -1;

export interface NbdRequest {
  readonly command: keyof typeof COMMANDS;
  readonly offset: number;
  readonly length: number;
  readonly data?: Buffer;
  readonly fua?: boolean;
  /** Called with the errno of the answer, 0 for none, and what was read. */
  readonly done: (errno: number, data: Buffer) => void;
}

export class NbdPeer {
  #phase: 'greeting' | 'export' | 'open' = 'greeting';
  #bytes = Buffer.alloc(0);
  #lastCookie = 0n;
  readonly #pending = new Map<bigint, NbdRequest>();

  constructor(
    readonly socket: SimulatedSocket,
    private readonly exportName: string,
  ) {
    socket.onBytes = (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#step());
    };
  }

  get isOpen(): boolean {
    return this.#phase === 'open' && !this.socket.isCut;
  }

  send(request: NbdRequest): void {
    const cookie = ++this.#lastCookie;
    const header = Buffer.alloc(28);
    header.writeUInt32BE(0x25609513, 0);
    header.writeUInt16BE(request.fua ? 1 : 0, 4);
    header.writeUInt16BE(COMMANDS[request.command], 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(request.offset), 16);
    header.writeUInt32BE(request.length, 24);
    this.#pending.set(cookie, request);
    this.socket.send(Buffer.concat([header, request.data ?? Buffer.alloc(0)]));
  }

  /** QEMU has seen that the connection is lost: what was under way fails. */
  lose(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.done(LOST, Buffer.alloc(0));
  }

  #step(): boolean {
    switch (this.#phase) {
      case 'greeting': {
        if (!this.#take(18)) return false;
        const name = Buffer.from(this.exportName);
        const option = Buffer.alloc(4 + 16);
        option.writeUInt32BE(3, 0);
        option.write('IHAVEOPT', 4, 'latin1');
        option.writeUInt32BE(1, 12);
        option.writeUInt32BE(name.length, 16);
        this.socket.send(Buffer.concat([option, name]));
        this.#phase = 'export';
        return true;
      }
      case 'export':
        if (!this.#take(10)) return false;
        this.#phase = 'open';
        return true;
      case 'open':
        return this.#reply();
    }
  }

  #reply(): boolean {
    if (this.#bytes.length < 16) return false;
    if (this.#bytes.readUInt32BE(0) !== 0x67446698) throw new Error('not a simple reply');
    const errno = this.#bytes.readUInt32BE(4);
    const cookie = this.#bytes.readBigUInt64BE(8);
    const request = this.#pending.get(cookie);
    if (!request) throw new Error(`a reply to nothing: ${cookie}`);
    const payload = request.command === 'read' && errno === 0 ? request.length : 0;
    if (this.#bytes.length < 16 + payload) return false;
    this.#take(16);
    this.#pending.delete(cookie);
    request.done(errno, this.#take(payload) ?? Buffer.alloc(0));
    return true;
  }

  #take(length: number): Buffer | undefined {
    if (this.#bytes.length < length) return undefined;
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}
