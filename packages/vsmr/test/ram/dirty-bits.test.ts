/** Against the files of a fake kernel: no real one with soft-dirty bits has run this. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hasDirtyBits } from '../../src/ram/dirty-bits.js';
import { FileRam } from '../../dist/ram/file-ram.js';
import { FAKE_PID, FakeKernel } from '../support/fake-kernel.js';

const PAGE = 4096;
const PAGES = 200;
/** Everything is compared at the first scan and at each 64th after it. */
const SCANS_PER_AUDIT = 64;

let folder: string;
let file: string;
let kernel: FakeKernel;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-ram-'));
  file = path.join(folder, 'ram');
  const handle = await open(file, 'wx');
  await handle.truncate(PAGES * PAGE);
  await handle.close();
  kernel = await FakeKernel.create(file, PAGES);
});
afterEach(async () => {
  await kernel.dispose();
  await rm(folder, { recursive: true });
});

function openRam(): Promise<FileRam> {
  const { proc, sys } = kernel;
  return FileRam.open({ path: file, bytes: PAGES * PAGE, pid: FAKE_PID, proc, sys });
}

/** What the guest does; the kernel notices it or not. */
async function poke(page: number, isNoticed = true): Promise<void> {
  const handle = await open(file, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, page * PAGE);
  await handle.write(Buffer.of((byte[0] ?? 0) + 1), 0, 1, page * PAGE);
  await handle.close();
  if (isNoticed) await kernel.setPage(page, { isPresent: true, isDirty: true });
}

test('only pages that are marked, or not mapped, are compared', async () => {
  await using ram = await openRam();
  expect(ram.hasDirtyBits).toBe(true);
  for (const page of [1, 99, 100, 199]) await poke(page, false);
  // The first time nothing is known: all is compared.
  expect([...(await ram.refresh(true))]).toEqual([1, 99, 100, 199]);
  expect(await kernel.cleared()).toBe('4');
  await poke(2, false);
  await poke(99);
  await poke(100);
  await poke(150, false);
  await kernel.setPage(150, { isPresent: false });
  expect([...(await ram.refresh(true))]).toEqual([99, 100, 150]);
  expect(await kernel.cleared()).toBe('4');
  // Marked, and with the same contents.
  expect([...(await ram.refresh(true))]).toEqual([]);
});

test('while the guest runs, and the next time, everything is compared', async () => {
  await using ram = await openRam();
  await ram.refresh(true);
  await kernel.cleared();
  await poke(3, false);
  expect([...(await ram.refresh(false))]).toEqual([3]);
  expect(await kernel.cleared()).toBe('');
  await poke(4, false);
  expect([...(await ram.refresh(true))]).toEqual([4]);
  expect(await kernel.cleared()).toBe('4');
  await poke(5, false);
  expect([...(await ram.refresh(true))]).toEqual([]);
});

test('a kernel that has kept silent about a page is found out, and not asked again', async () => {
  await using ram = await openRam();
  await ram.refresh(true);
  await poke(7, false);
  for (let scan = 1; scan < SCANS_PER_AUDIT; scan++) {
    expect([...(await ram.refresh(true))]).toEqual([]);
  }
  expect([...(await ram.refresh(true))]).toEqual([7]);
  expect(ram.hasDirtyBits).toBe(false);
  await poke(8, false);
  expect([...(await ram.refresh(true))]).toEqual([8]);
});

describe('everything is compared', () => {
  test.each([
    ['with swap space', () => kernel.setSwaps('/dev/sda2 partition 1 0 -2\n')],
    ['where huge pages of shared memory are made', () => kernel.setHugeShmem('[advise]')],
  ])('%s', async (_, setUp) => {
    await using ram = await openRam();
    await ram.refresh(true);
    await setUp();
    await poke(9, false);
    expect([...(await ram.refresh(true))]).toEqual([9]);
    await kernel.setSwaps('');
    await kernel.setHugeShmem('[never]');
    // What was written meanwhile is not known either.
    await poke(10, false);
    expect([...(await ram.refresh(true))]).toEqual([10]);
    await poke(11, false);
    expect([...(await ram.refresh(true))]).toEqual([]);
  });

  test('when the process is gone', async () => {
    await using ram = await openRam();
    await ram.refresh(true);
    await rm(kernel.proc, { recursive: true });
    await poke(9, false);
    expect([...(await ram.refresh(true))]).toEqual([9]);
    expect(ram.hasDirtyBits).toBe(false);
  });
});

describe('the probe', () => {
  test.each([
    ['pages that were written are marked, and others not', [true, false, false, true], true],
    ['none is marked: the kernel has no such bits', [false, false, false, false], false],
    ['all are marked: nothing was cleared', [true, true, true, true], false],
  ])('%s', async (_, marks, expected) => {
    await kernel.setStack(marks);
    expect(await hasDirtyBits(kernel)).toBe(expected);
  });

  test('no /proc at all', async () => {
    expect(await hasDirtyBits({ proc: path.join(folder, 'none') })).toBe(false);
  });

  test('this kernel gives an answer, and the same one twice', async () => {
    const answer = await hasDirtyBits();
    process.stdout.write(`soft-dirty bits of this kernel: ${answer ? 'there' : 'not there'}\n`);
    expect(await hasDirtyBits()).toBe(answer);
  });
});
