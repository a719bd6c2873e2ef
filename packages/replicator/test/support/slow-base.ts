import type { BaseStore } from '../../src/images/base-image.js';
import type { Random } from '@gannet/test-support/random.js';

/**
 * A base whose reads and writes happen when advance() says so, in random order, and are torn: half
 * of the bytes move at one time, the rest at a later one.
 */
export class SlowBase implements BaseStore {
  readonly contents: Buffer;
  readonly #waiting: (() => void)[] = [];
  syncs = 0;
  readonly losses = 0;

  /**
   * @param dataBytes so much of it holds data; what follows is a hole until something is written
   */
  constructor(
    readonly sizeBytes: number,
    private readonly random: Random,
    public dataBytes = sizeBytes,
  ) {
    this.contents = Buffer.alloc(sizeBytes);
    random.bytes(Math.min(dataBytes, sizeBytes)).copy(this.contents);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Does some of what waits, at least one. */
  advance(): void {
    for (let count = 1 + this.random.below(this.#waiting.length); count > 0; count--) {
      const [next] = this.#waiting.splice(this.random.below(this.#waiting.length), 1);
      next?.();
    }
  }

  holeEnd(offset: number): number {
    return offset < this.dataBytes ? offset : this.sizeBytes;
  }

  nextHole(offset: number): number {
    return Math.max(offset, this.dataBytes);
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#inParts(target.length, (from, to) =>
      target.set(this.contents.subarray(offset + from, offset + to), from),
    );
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    this.dataBytes = Math.max(this.dataBytes, offset + data.length);
    return this.#inParts(data.length, (from, to) =>
      this.contents.set(data.subarray(from, to), offset + from),
    );
  }

  zero(offset: number, length: number): Promise<void> {
    return this.#inParts(length, (from, to) => this.contents.fill(0, offset + from, offset + to));
  }

  sync(): Promise<void> {
    return this.#inParts(0, () => this.syncs++);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #inParts(length: number, move: (from: number, to: number) => void): Promise<void> {
    const cut = this.random.below(length + 1);
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        move(0, cut);
        this.#waiting.push(() => {
          move(cut, length);
          resolve();
        });
      });
    });
  }
}
