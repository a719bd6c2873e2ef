import { describe, expect, test } from '@jest/globals';
import { Random } from '@gannet/test-support/random.js';
import { Arrivals } from '../../src/disk/arrivals.js';
import { Fetched } from '../../src/disk/fetched.js';
import { SlowBase } from '../support/slow-base.js';

const DISK_BYTES = 64;

/**
 * A guest writes to its own disk and, over a mirror, to a base that is brought up to date. Pieces
 * are read of its disk at one time and arrive at any later one; requests to the base end in any
 * order, torn. At the end the base is the disk.
 */
async function run(seed: number, fetchedWins = false): Promise<void> {
  const random = new Random(seed);
  const disk = random.bytes(DISK_BYTES);
  const base = new SlowBase(DISK_BYTES, random);
  const arrivals = new Arrivals();
  const fetched = new Fetched({ sizeBytes: DISK_BYTES, arrivals });
  const open: Promise<void>[] = [];
  /** Read, and not there yet. */
  const pieces: { readonly offset: number; readonly data: Buffer }[] = [];
  /** On the guest's disk, and still to arrive by the mirror. */
  const writes: { readonly offset: number; readonly data: Buffer }[] = [];
  fetched.begin();
  const { attempt = -1 } = fetched;
  let next = 0;

  const piece = (): void => {
    const at = random.below(pieces.length);
    const [one] = pieces.splice(at, 1);
    if (!one) return;
    const { offset, data } = one;
    const write = (start: number, end: number): Promise<void> =>
      base.write(start, data.subarray(start - offset, end - offset));
    open.push(
      fetchedWins
        ? write(offset, offset + data.length)
        : fetched.put(offset, data.length, ([start, end]) => write(start, end)),
    );
  };
  const arrive = (): void => {
    const one = writes.shift();
    if (!one) return;
    const { offset, data } = one;
    arrivals.note(offset, data.length);
    const earlier = fetchedWins ? undefined : fetched.before(offset, data.length);
    const write = (): Promise<void> => base.write(offset, data);
    open.push(earlier ? earlier.then(write) : write());
  };
  const guestWrites = (): void => {
    const offset = random.below(DISK_BYTES - 8);
    const data = random.bytes(1 + random.below(8));
    // Of one place, a guest has one write under way; and the mirror keeps to the same rule.
    const end = offset + data.length;
    if (writes.some((one) => one.offset < end && one.offset + one.data.length > offset)) return;
    data.copy(disk, offset);
    writes.push({ offset, data });
  };

  for (let turn = 0; turn < 400; turn++) {
    const roll = random.next();
    if (roll < 0.2 && turn < 200 && base.waiting < 8) guestWrites();
    else if (roll < 0.4 && next < DISK_BYTES) {
      pieces.push({ offset: next, data: Buffer.from(disk.subarray(next, next + 8)) });
      next += 8;
    } else if (roll < 0.6) piece();
    // The mirror's writes to one place end in their order: QEMU waits for the one before.
    else if (roll < 0.75 && base.waiting === 0) arrive();
    else if (base.waiting > 0) base.advance();
    await Promise.resolve();
  }
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 1000; turn++) {
      if (base.waiting > 0) base.advance();
      await Promise.resolve();
    }
  };
  while (pieces.length > 0) piece();
  await settle();
  while (writes.length > 0) {
    arrive();
    await settle();
  }
  if (next < DISK_BYTES) return;
  await Promise.all(open);
  await fetched.complete(attempt);
  expect(base.contents.toString('hex')).toBe(disk.toString('hex'));
}

describe('what is fetched beside the mirror', () => {
  test('leaves the base as the disk is, in any order', async () => {
    for (let seed = 1; seed <= 150; seed++) await run(seed);
  });

  test('and if it won over the mirror, that would be found', async () => {
    let found = 0;
    for (let seed = 1; seed <= 60; seed++) {
      await run(seed, true).catch(() => found++);
    }
    expect(found).toBeGreaterThan(0);
  });
});
