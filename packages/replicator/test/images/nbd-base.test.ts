import { NbdCommandError, NbdConnectionError } from '@gannet/nbd';
import { describe, expect, jest, test } from '@jest/globals';
import { NbdBase, type Service } from '../../src/images/nbd-base.js';

const GIB = 1024 ** 3;
const NO_SPACE = new NbdCommandError('ENOSPC', 'no space');

/** A storage daemon that does what a test says; its image holds data throughout. */
class FakeService {
  readonly zeroed: [number, number][] = [];
  readonly kill = jest.fn(() => this.#end('killed'));
  #end!: (words: string) => void;
  readonly ended = new Promise<string>((resolve) => (this.#end = resolve));
  writeZeroes: (from: number) => Promise<void> = () => Promise.resolve();

  constructor(private readonly sizeBytes: number) {}

  get service(): Service {
    const done = (): Promise<void> => Promise.resolve();
    return {
      isLost: false,
      daemon: { pid: 1, ended: this.ended, kill: this.kill, stop: done },
      client: {
        ...{ sizeBytes: this.sizeBytes, hasBlockStatus: false, destroy: () => undefined },
        ...{ readInto: done, write: done, flush: done, disconnect: done },
        blockStatus: () => Promise.resolve([]),
        writeZeroes: (from, length) => {
          this.zeroed.push([from, length]);
          return this.writeZeroes(from);
        },
      },
    };
  }

  open(isFresh = false): Promise<NbdBase> {
    const options = { format: 'qcow2', isFresh } as const;
    return NbdBase.open('/image', options, () => Promise.resolve(this.service));
  }
}

describe('NbdBase', () => {
  test('a zero request that fails leaves no piece under way, to land on newer data', async () => {
    const fake = new FakeService(4 * GIB);
    const base = await fake.open();
    let land: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (land = resolve));
    fake.writeZeroes = (from) => (from === 0 ? Promise.reject(NO_SPACE) : late);
    let isOver = false;
    const zeroing = base.zero(0, GIB).finally(() => (isOver = true));
    zeroing.catch(() => undefined);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    land();
    await expect(zeroing).rejects.toMatchObject({ code: 'REPLICA_BASE_IO' });
    await base.close();
  });

  test('no request zeros more than NBD can name: 32 bits of bytes', async () => {
    const fake = new FakeService(20 * GIB);
    const base = await fake.open();
    await base.zero(4096, 18 * GIB);
    expect(Math.max(...fake.zeroed.map(([, length]) => length))).toBeLessThan(2 ** 32);
    let next = 4096;
    for (const [from, length] of fake.zeroed) {
      expect(from).toBe(next);
      next += length;
    }
    expect(next).toBe(4096 + 18 * GIB);
    await base.close();
  });

  test('a storage daemon is killed for a lost connection, not for our mistake', async () => {
    const fake = new FakeService(4 * GIB);
    const base = await fake.open();
    fake.writeZeroes = () => Promise.reject(new RangeError('out of range'));
    await expect(base.zero(0, 4096)).rejects.toMatchObject({ code: 'REPLICA_BASE_IO' });
    expect(fake.kill).not.toHaveBeenCalled();
    fake.writeZeroes = () => Promise.reject(new NbdConnectionError('lost'));
    await expect(base.zero(0, 4096)).rejects.toMatchObject({ code: 'REPLICA_BASE_IO' });
    expect(fake.kill).toHaveBeenCalledTimes(1);
    await base.close();
  });
});
