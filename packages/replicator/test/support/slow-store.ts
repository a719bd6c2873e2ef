import { SLAB_BYTES } from '../../src/memory/slab-pool.js';
import type { SpillStore } from '../../src/memory/spill-file.js';
import type { Random } from '@gannet/test-support/random.js';

/**
 * A file for spilled slabs in which everything happens when advance() says so, in random order.
 * Reads and writes are short at times. What was not synced is not safe: a sync that fails loses it.
 */
export class SlowStore implements SpillStore {
  #contents = Buffer.alloc(0);
  #unsynced: { readonly position: number; readonly length: number }[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Chance that a write or a sync fails. */
  errors = 0;
  /** Whether reads fail. */
  isBroken = false;
  writes = 0;
  reads = 0;
  truncations = 0;

  constructor(private readonly random: Random) {}

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Does some of what waits. */
  advance(): void {
    for (let count = this.random.below(this.#waiting.length + 1); count > 0; count--) {
      const [next] = this.#waiting.splice(this.random.below(this.#waiting.length), 1);
      next?.();
    }
  }

  read(
    target: Buffer,
    at: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }> {
    return this.#later(() => {
      if (this.isBroken) throw systemError('EIO');
      const bytesRead = this.#short(length);
      this.#contents.copy(target, at, position, position + bytesRead);
      this.reads++;
      return { bytesRead };
    });
  }

  write(
    source: Buffer,
    at: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }> {
    return this.#later(() => {
      if (this.random.next() < this.errors) throw systemError('ENOSPC');
      const bytesWritten = this.#short(length);
      this.#grow(position + bytesWritten);
      source.copy(this.#contents, position, at, at + bytesWritten);
      this.#unsynced.push({ position, length: bytesWritten });
      this.writes++;
      return { bytesWritten };
    });
  }

  datasync(): Promise<void> {
    return this.#later(() => {
      const isLost = this.random.next() < this.errors;
      for (const { position, length } of this.#unsynced.splice(0)) {
        if (isLost) this.#contents.fill(0xee, position, position + length);
      }
      if (isLost) throw systemError('EIO');
    });
  }

  truncate(): Promise<void> {
    return this.#later(() => {
      this.truncations++;
      this.#contents.fill(0xdd);
      this.#unsynced = [];
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #short(length: number): number {
    return this.random.next() < 0.1 ? 1 + this.random.below(length) : length;
  }

  #grow(length: number): void {
    if (length <= this.#contents.length) return;
    const larger = Buffer.alloc(Math.max(length, this.#contents.length * 2, SLAB_BYTES));
    this.#contents.copy(larger);
    this.#contents = larger;
  }

  #later<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: for the test`), { code });
}
