import { describe, expect, test } from '@jest/globals';
import type { Extent } from '@gannet/nbd';
import { type FetchedDisk, fetchChanges } from '../../../src/daemon/resync/fetch-changes.js';

const MIB = 1024 * 1024;

/** A disk of 4 MiB whose every byte is its MiB plus one; the second is zeros. */
class TestDisk {
  readonly done: string[] = [];
  hasBlockStatus = true;

  constructor(private readonly marked: readonly (readonly [from: number, to: number])[]) {}

  get fetched(): FetchedDisk {
    return {
      device: 'vb0',
      own: {
        sizeBytes: 4 * MIB,
        hasBlockStatus: this.hasBlockStatus,
        blockStatus: (offset) => Promise.resolve([this.#extent(offset)]),
        readInto: (offset, target) => {
          const value = Math.floor(offset / MIB) + 1;
          target.fill(value === 2 ? 0 : value);
          return Promise.resolve();
        },
      },
      replica: {
        write: (offset, data) => this.#note(`write ${offset} ${data.length} of ${data[0]}`),
        writeZeroes: (offset, length) => this.#note(`zero ${offset} ${length}`),
        flush: () => this.#note('flush'),
      },
    };
  }

  #extent(offset: number): Extent {
    const run = this.marked.find(([from, to]) => from <= offset && offset < to);
    if (run) return { length: run[1] - offset, hole: true, zero: false };
    const next = this.marked.find(([from]) => from > offset)?.[0] ?? 4 * MIB;
    return { length: next - offset, hole: false, zero: false };
  }

  #note(what: string): Promise<void> {
    this.done.push(what);
    return Promise.resolve();
  }
}

function options(over: { signal?: AbortSignal; bytesPerSec?: number } = {}) {
  const waits: number[] = [];
  const progress: (readonly [number, number])[] = [];
  const { signal = new AbortController().signal, bytesPerSec = 0 } = over;
  return {
    ...{ waits, progress, signal, bytesPerSec: () => bytesPerSec, now: () => 0 },
    onProgress: (done: number, total: number) => void progress.push([done, total]),
    sleep: (ms: number) => Promise.resolve(waits.push(ms)),
  };
}

describe('what is fetched', () => {
  test('is what the bitmap marks, zeros as zeros, and the end is said once', async () => {
    const disk = new TestDisk([
      [0, 65_536],
      [MIB, 2 * MIB],
      [3 * MIB, 3 * MIB + 600_000],
    ]);
    const how = options();
    expect(await fetchChanges(disk.fetched, how)).toBe(65_536 + MIB + 600_000);
    expect(disk.done.slice(0, -1).sort()).toEqual(
      [
        `write ${3 * MIB + 524_288} ${600_000 - 524_288} of 4`,
        `write ${3 * MIB} 524288 of 4`,
        'write 0 65536 of 1',
        `zero ${MIB + 524_288} 524288`,
        `zero ${MIB} 524288`,
      ].sort(),
    );
    expect(disk.done.at(-1)).toBe('flush');
    expect(how.progress.at(-1)).toEqual([65_536 + MIB + 600_000, 65_536 + MIB + 600_000]);
  });

  test('is nothing, where nothing was written: that is said, too', async () => {
    const disk = new TestDisk([]);
    expect(await fetchChanges(disk.fetched, options())).toBe(0);
    expect(disk.done).toEqual(['flush']);
  });

  test('keeps to a limit', async () => {
    const how = options({ bytesPerSec: MIB });
    await fetchChanges(new TestDisk([[0, 2 * MIB]]).fetched, how);
    expect(how.waits).toEqual([500, 1000, 1500]);
  });

  test('is not complete if it was ended, or if QEMU offers no bitmap', async () => {
    const ended = new TestDisk([[0, MIB]]);
    const signal = AbortSignal.abort(new Error('ended'));
    await expect(fetchChanges(ended.fetched, options({ signal }))).rejects.toThrow('ended');
    expect(ended.done).not.toContain('flush');
    const without = new TestDisk([[0, MIB]]);
    without.hasBlockStatus = false;
    await expect(fetchChanges(without.fetched, options())).rejects.toThrow('does not offer');
    expect(without.done).toEqual([]);
  });
});
