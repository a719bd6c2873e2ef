// A guest's end of an NBD connection, with simple or with extended headers, and with an encoder of
// its own, so that a mistake in ours shows.

import type { SimulatedSocket } from '../network.js';

const COMMANDS = { read: 0, write: 1, flush: 3, writeZeroes: 6 } as const;
const DISCONNECT = 2;
const OFFSET_DATA = 1;
const ERROR = 32_769;
const ERROR_OFFSET = 32_770;
/** Stands for an errno where there was no answer. */
export const LOST = -1;
/** The longest request without extended headers. */
export const SIMPLE_MAX = 2 ** 32 - 4096;

export interface PeerRequest {
  readonly command: keyof typeof COMMANDS;
  readonly offset: number;
  readonly length: number;
  readonly data?: Buffer;
  /** Called with the errno of the answer, 0 for none, and what was read. */
  readonly done: (errno: number, data: Buffer) => void;
}

interface Pending extends PeerRequest {
  readonly received: Buffer;
  errno: number;
}

type Phase = 'greeting' | 'headers' | 'export' | 'open' | 'closed';

export class Peer {
  #phase: Phase = 'greeting';
  #bytes = Buffer.alloc(0);
  #lastCookie = 0n;
  readonly #pending = new Map<bigint, Pending>();

  constructor(
    readonly socket: SimulatedSocket,
    private readonly exportName: string,
    readonly isExtended: boolean,
  ) {
    socket.onBytes = (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#step());
    };
    socket.onClosed = () => this.lose();
  }

  get isOpen(): boolean {
    return this.#phase === 'open' && !this.socket.isCut;
  }

  /** The server has refused it, it was lost, or given up. */
  get isClosed(): boolean {
    return this.#phase === 'closed';
  }

  send(request: PeerRequest): void {
    const { command, offset, length, data = Buffer.alloc(0) } = request;
    const cookie = ++this.#lastCookie;
    const received = Buffer.alloc(command === 'read' ? length : 0);
    this.#pending.set(cookie, { ...request, received, errno: 0 });
    const header = this.#header(COMMANDS[command], cookie, offset, length);
    this.socket.send(Buffer.concat([header, data]));
  }

  /** NBD_CMD_DISC, and the end. */
  disconnect(): void {
    if (this.isOpen) this.socket.send(this.#header(DISCONNECT, 0n, 0, 0));
    this.#phase = 'closed';
  }

  /** It is given up: what was under way fails, and what was sent may still arrive. */
  lose(): void {
    this.#phase = 'closed';
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.done(LOST, Buffer.alloc(0));
  }

  #header(command: number, cookie: bigint, offset: number, length: number): Buffer {
    const header = Buffer.alloc(this.isExtended ? 32 : 28);
    header.writeUInt32BE(this.isExtended ? 0x21e41c71 : 0x25609513, 0);
    // NBD_CMD_FLAG_PAYLOAD_LEN: the length is that of a payload.
    const isWrite = command === COMMANDS.write;
    header.writeUInt16BE(this.isExtended && isWrite ? 1 << 5 : 0, 4);
    header.writeUInt16BE(command, 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    if (this.isExtended) header.writeBigUInt64BE(BigInt(length), 24);
    else header.writeUInt32BE(length, 24);
    return header;
  }

  #step(): boolean {
    switch (this.#phase) {
      case 'greeting': {
        if (!this.#take(18)) return false;
        const flags = Buffer.alloc(4);
        flags.writeUInt32BE(3, 0);
        this.socket.send(flags);
        if (this.isExtended) {
          this.#option(11, Buffer.alloc(0));
          this.#phase = 'headers';
        } else this.#enter();
        return true;
      }
      case 'headers': {
        const reply = this.#take(20);
        if (!reply) return false;
        if (reply.readUInt32BE(12) !== 1) throw new Error('extended headers are refused');
        this.#enter();
        return true;
      }
      case 'export':
        if (!this.#take(10)) return false;
        this.#phase = 'open';
        return true;
      case 'open':
        return this.isExtended ? this.#extendedReply() : this.#simpleReply();
      case 'closed':
        return false;
    }
  }

  #enter(): void {
    this.#option(1, Buffer.from(this.exportName));
    this.#phase = 'export';
  }

  #option(option: number, data: Buffer): void {
    const header = Buffer.alloc(16);
    header.write('IHAVEOPT', 0, 'latin1');
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(data.length, 12);
    this.socket.send(Buffer.concat([header, data]));
  }

  #simpleReply(): boolean {
    if (this.#bytes.length < 16) return false;
    if (this.#bytes.readUInt32BE(0) !== 0x67446698) throw new Error('not a simple reply');
    const errno = this.#bytes.readUInt32BE(4);
    const cookie = this.#bytes.readBigUInt64BE(8);
    const request = this.#expect(cookie);
    const payload = errno === 0 ? request.received.length : 0;
    if (this.#bytes.length < 16 + payload) return false;
    this.#take(16);
    this.#pending.delete(cookie);
    request.done(errno, this.#take(payload) ?? Buffer.alloc(0));
    return true;
  }

  #extendedReply(): boolean {
    if (this.#bytes.length < 32) return false;
    if (this.#bytes.readUInt32BE(0) !== 0x6e8a278c) throw new Error('not an extended reply');
    const isDone = (this.#bytes.readUInt16BE(4) & 1) !== 0;
    const type = this.#bytes.readUInt16BE(6);
    const cookie = this.#bytes.readBigUInt64BE(8);
    const length = Number(this.#bytes.readBigUInt64BE(24));
    const request = this.#expect(cookie);
    if (this.#bytes.length < 32 + length) return false;
    this.#take(32);
    const payload = this.#take(length) ?? Buffer.alloc(0);
    if (type === ERROR || type === ERROR_OFFSET) request.errno = payload.readUInt32BE(0);
    // Holes are zeros already.
    if (type === OFFSET_DATA) {
      payload.copy(request.received, Number(payload.readBigUInt64BE(0)) - request.offset, 8);
    }
    if (!isDone) return true;
    this.#pending.delete(cookie);
    request.done(request.errno, request.received);
    return true;
  }

  #expect(cookie: bigint): Pending {
    const request = this.#pending.get(cookie);
    if (!request) throw new Error(`a reply to nothing: ${cookie}`);
    return request;
  }

  #take(length: number): Buffer | undefined {
    if (this.#bytes.length < length) return undefined;
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}
