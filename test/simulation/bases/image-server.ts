// The server's end of the connection to a storage daemon: newstyle, simple replies, and no block
// status, so that nothing of an image is known to be a hole.

import type { SimulatedSocket } from '../network.js';

const GO = 7;
const ACK = 1;
const INFO = 3;
const UNSUPPORTED = 2 ** 31 + 1;
/** Flags, flush, FUA, trim, write zeroes. */
const FLAGS = 1 | 4 | 8 | 32 | 64;
const COMMANDS = ['read', 'write', 'disconnect', 'flush', 'trim', 'cache', 'writeZeroes'] as const;

export interface ImageRequest {
  readonly command: (typeof COMMANDS)[number];
  readonly offset: number;
  readonly length: number;
  readonly data: Buffer;
  readonly answer: (errno: number, data: Buffer) => void;
}

export class ImageServer {
  #phase: 'flags' | 'options' | 'open' = 'flags';
  #bytes = Buffer.alloc(0);

  constructor(
    private readonly socket: SimulatedSocket,
    private readonly sizeBytes: number,
    private readonly serve: (request: ImageRequest) => void,
  ) {
    socket.onBytes = (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#step());
    };
    // Fixed newstyle, no zeroes.
    socket.send(Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 3])]));
  }

  #step(): boolean {
    switch (this.#phase) {
      case 'flags':
        if (!this.#take(4)) return false;
        this.#phase = 'options';
        return true;
      case 'options':
        return this.#option();
      case 'open':
        return this.#request();
    }
  }

  #option(): boolean {
    if (this.#bytes.length < 16) return false;
    const option = this.#bytes.readUInt32BE(8);
    const length = this.#bytes.readUInt32BE(12);
    if (!this.#take(16 + length)) return false;
    if (option !== GO) {
      this.#reply(option, UNSUPPORTED, Buffer.alloc(0));
      return true;
    }
    const info = Buffer.alloc(12);
    info.writeBigUInt64BE(BigInt(this.sizeBytes), 2);
    info.writeUInt16BE(FLAGS, 10);
    this.#reply(option, INFO, info);
    this.#reply(option, ACK, Buffer.alloc(0));
    this.#phase = 'open';
    return true;
  }

  #reply(option: number, type: number, data: Buffer): void {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(0x3e889045565a9n, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(data.length, 16);
    this.socket.send(Buffer.concat([header, data]));
  }

  #request(): boolean {
    if (this.#bytes.length < 28) return false;
    if (this.#bytes.readUInt32BE(0) !== 0x25609513) throw new Error('not a request');
    const command = COMMANDS[this.#bytes.readUInt16BE(6)] ?? 'cache';
    const length = this.#bytes.readUInt32BE(24);
    const payload = command === 'write' ? length : 0;
    if (this.#bytes.length < 28 + payload) return false;
    const header = this.#take(28) ?? Buffer.alloc(28);
    const data = Buffer.from(this.#take(payload) ?? []);
    if (command === 'disconnect') {
      this.socket.cut('fin');
      return false;
    }
    const offset = Number(header.readBigUInt64BE(16));
    if (offset + length > this.sizeBytes) throw new Error(`beyond the image: ${offset}+${length}`);
    const cookie = header.subarray(8, 16);
    const answer = (errno: number, read: Buffer): void => {
      const reply = Buffer.alloc(16);
      reply.writeUInt32BE(0x67446698, 0);
      reply.writeUInt32BE(errno, 4);
      cookie.copy(reply, 8);
      this.socket.send(Buffer.concat([reply, read]));
    };
    this.serve({ command, offset, length, data, answer });
    return true;
  }

  #take(length: number): Buffer | undefined {
    if (this.#bytes.length < length) return undefined;
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}
