import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runLife } from '../../robustness/kills/crash-run.js';
import { contentsOf, DiskHistory, isCausal, type Write } from '../../robustness/kills/history.js';

// `make kills` has hundreds of these.

const KILLS = Number(process.env.KILLS ?? 6);
const PATIENCE_MS = 300_000;
const SEED = Number(process.env.GANNET_SEED ?? Math.floor(Math.random() * 1e9));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-kills-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test(
  `I4, I6: a secondary killed anywhere, ${KILLS} times, keeps what was flushed (seed ${SEED})`,
  async () => {
    let kills = 0;
    for (let seed = SEED; kills < KILLS; seed++) {
      kills += (await runLife(seed, path.join(folder, String(seed)))).kills;
    }
    expect(kills).toBeGreaterThanOrEqual(KILLS);
  },
  PATIENCE_MS,
);

test('the judge sees a write that is missing, torn, or there before an earlier one', () => {
  const write = (id: number, offset: number, seen: readonly number[] = []): Write => ({
    ...{ disk: 0, offset, length: 4096, isZero: false, id, seen },
  });
  const make = (...writes: Write[]): DiskHistory => {
    const history = new DiskHistory(Buffer.alloc(16 * 4096));
    history.writes.push(...writes);
    return history;
  };
  const imageOf = (...writes: Write[]): Buffer => {
    const image = Buffer.alloc(16 * 4096);
    for (const one of writes) contentsOf(one).copy(image, one.offset);
    return image;
  };
  const [first, second, third] = [write(1, 0), write(2, 4096), write(3, 0, [0, 1])];
  const history = make(first, second, third);
  expect(history.cutsOf(imageOf())).toEqual([0]);
  expect(history.cutsOf(imageOf(first, second))).toEqual([2]);
  expect(history.cutsOf(imageOf(first, second, third))).toEqual([3]);
  expect(history.cutsOf(imageOf(second))).toEqual([]);
  const torn = imageOf(first);
  torn.fill(0, 512, 1024);
  expect(history.cutsOf(torn)).toEqual([]);
  history.durable = 2;
  expect(history.cutsOf(imageOf(first))).toEqual([]);
  const other = make(write(9, 8192));
  expect(isCausal([history, other], [3, 1])).toBe(true);
  expect(isCausal([history, other], [3, 0])).toBe(false);
  expect(isCausal([history, other], [2, 0])).toBe(true);
});
