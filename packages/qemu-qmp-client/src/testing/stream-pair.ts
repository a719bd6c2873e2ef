import { Duplex } from 'node:stream';

/**
 * One end of a pipe in memory. What is written to one end can be read from the other a turn later,
 * as from a socket; ending one ends the other's reading, destroying one closes both.
 */
class PipeEnd extends Duplex {
  peer: PipeEnd | undefined;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    // Data is pushed by the peer's writes.
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    setImmediate(() => {
      this.peer?.push(chunk);
      done();
    });
  }

  override _final(done: () => void): void {
    setImmediate(() => {
      this.peer?.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this;
    setImmediate(() => {
      if (peer?.destroyed === false) peer.push(null);
    });
    done(error);
  }
}

/** Two connected streams. */
export function streamPair(): readonly [Duplex, Duplex] {
  const left = new PipeEnd();
  const right = new PipeEnd();
  left.peer = right;
  right.peer = left;
  return [left, right];
}
