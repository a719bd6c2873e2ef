import { describe, expect, it } from '@jest/globals';
import { ReplyWriter } from '../../src/wire/replies.js';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (state * 48271) % 0x7fffffff) % below;
}

interface Sent {
  readonly pieces: readonly Buffer[];
  /** As they were when they were handed over. */
  readonly copy: Buffer;
  readonly taken: () => void;
}

/** A socket that takes what it was given late. */
class LateSocket {
  readonly all: Buffer[] = [];
  readonly #waiting: Sent[] = [];

  readonly send = (pieces: readonly Buffer[], taken: () => void): void => {
    const copy = Buffer.concat(pieces);
    this.all.push(copy);
    this.#waiting.push({ pieces, copy, taken });
  };

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes the oldest send; nothing in it may have changed meanwhile. */
  take(): void {
    const sent = this.#waiting.shift();
    if (sent === undefined) return;
    expect(Buffer.concat(sent.pieces).equals(sent.copy)).toBe(true);
    sent.taken();
  }
}

const COOKIE = Buffer.from('cookie!!');

describe('ReplyWriter', () => {
  it('sends all in order and leaves it alone until it is taken', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const below = random(seed);
      const socket = new LateSocket();
      const writer = new ReplyWriter(socket.send);
      const expected: Buffer[] = [];
      const detached: { readonly room: Buffer; readonly send: () => void }[] = [];
      const fill = (room: Buffer): void => {
        room.fill(below(256));
        expected.push(Buffer.from(room));
      };
      const length = (): number => 1 + below([100, 5000, 70_000, 400_000][below(4)]!);
      for (let step = 0; step < 250; step++) {
        const what = below(8);
        if (what < 2) {
          writer.simple(what, COOKIE);
          const reply = Buffer.from('6744669800000000', 'hex');
          reply.writeUInt32BE(what, 4);
          expected.push(Buffer.concat([reply, COOKIE]));
        } else if (what === 2) {
          const message = Buffer.alloc(length(), below(256));
          expected.push(message);
          writer.push(message);
        } else if (what === 3) {
          const room = writer.reserve(length());
          fill(room);
          writer.commit(room);
        } else if (what === 4) {
          const room = writer.reserve(length());
          detached.push({ room, send: writer.detach(room) });
        } else if (what === 5) {
          const [later] = detached.splice(below(detached.length + 1), 1);
          if (later === undefined) continue;
          fill(later.room);
          later.send();
        } else if (what === 6) {
          writer.flush();
        } else while (socket.waiting > below(4)) socket.take();
      }
      writer.flush();
      expect(writer.pendingBytes).toBe(0);
      while (socket.waiting > 0) socket.take();
      expect(Buffer.concat(socket.all).equals(Buffer.concat(expected))).toBe(true);
    }
  });

  it('builds all replies in the same memory if the socket keeps up', () => {
    for (const length of [16, 65_564, 1024 * 1024 + 28]) {
      const socket = new LateSocket();
      const writer = new ReplyWriter(socket.send);
      const seen = new Set<ArrayBufferLike>();
      for (let step = 0; step < 50; step++) {
        const room = writer.reserve(length);
        seen.add(room.buffer);
        writer.commit(room);
        writer.flush();
        while (socket.waiting > 0) socket.take();
      }
      expect(seen.size).toBe(1);
    }
  });
});
