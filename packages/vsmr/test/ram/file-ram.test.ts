/** The threads run what was compiled, so this tests the compiled files. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { forSeeds } from '@gannet/test-support/random.js';
import { FileRam, pageRuns } from '../../dist/ram/file-ram.js';

const PAGE = 4096;
/** More than two pieces of a scan, and the last one is short. */
const PAGES = 2 * 1024 + 5;

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-ram-'));
  file = path.join(folder, 'ram');
  const handle = await open(file, 'wx');
  await handle.truncate(PAGES * PAGE);
  await handle.close();
});
afterEach(() => rm(folder, { recursive: true }));

/** What a guest does: through another handle. */
async function poke(page: number, byte: number, at = 17): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Buffer.of(byte), 0, 1, page * PAGE + at);
  await handle.close();
}

test('zeroes are no change; each change is reported once', async () => {
  await using ram = await FileRam.open({ path: file, bytes: PAGES * PAGE });
  expect([...(await ram.refresh())]).toEqual([]);
  await poke(0, 1);
  await poke(1030, 2);
  await poke(PAGES - 1, 3, PAGE - 1);
  expect([...(await ram.refresh())]).toEqual([0, 1030, PAGES - 1]);
  expect([...(await ram.refresh())]).toEqual([]);
  await poke(1030, 0);
  expect([...(await ram.refresh())]).toEqual([1030]);
});

test('read() gives what was there at the last refresh, write() is not reported', async () => {
  await using ram = await FileRam.open({ path: file, bytes: PAGES * PAGE });
  await poke(7, 1);
  await ram.refresh();
  await poke(7, 2);
  expect((await ram.read(Uint32Array.of(3, 7)))[PAGE + 17]).toBe(1);
  const pages = Uint32Array.of(7, 8, 100);
  const data = Buffer.alloc(3 * PAGE, 5);
  await ram.write(pages, data);
  expect(Buffer.compare(await ram.read(pages), data)).toBe(0);
  expect([...(await ram.refresh())]).toEqual([]);
  await poke(8, 6);
  expect([...(await ram.refresh())]).toEqual([8]);
});

test('two files become equal, whatever is done to them', async () => {
  const other = path.join(folder, 'other');
  const handle = await open(other, 'wx');
  await handle.truncate(PAGES * PAGE);
  await handle.close();
  await using from = await FileRam.open({ path: file, bytes: PAGES * PAGE, threads: 3 });
  await using to = await FileRam.open({ path: other, bytes: PAGES * PAGE, threads: 1 });
  await forSeeds(20, async (random) => {
    for (let change = random.below(20); change >= 0; change--) {
      await poke(random.below(PAGES), random.below(256), random.below(PAGE));
    }
    const changed = Uint32Array.from(await from.refresh());
    await to.write(changed, await from.read(changed));
    const [a, b] = await Promise.all([file, other].map(contentsOf));
    expect(Buffer.compare(a!, b!)).toBe(0);
  });
});

test('RAM whose shadow has several slices', async () => {
  // As large as a piece of a scan.
  const sliceBytes = 64 * PAGE;
  await using ram = await FileRam.open({ path: file, bytes: PAGES * PAGE, sliceBytes });
  await ram.refresh();
  const changed = [0, 63, 64, 65, 1000, PAGES - 1];
  for (const page of changed) await poke(page, page % 255 || 1);
  expect([...(await ram.refresh())]).toEqual(changed);
  expect([...(await ram.refresh())]).toEqual([]);
  const pages = Uint32Array.from({ length: 70 }, (_, at) => 62 + at);
  const data = Buffer.alloc(pages.length * PAGE, 9);
  await ram.write(pages, data);
  expect(Buffer.compare(await ram.read(pages), data)).toBe(0);
  expect((await ram.read(Uint32Array.of(1000)))[17]).toBe(1000 % 255);
  expect([...(await ram.refresh())]).toEqual([]);
});

describe('refused', () => {
  test('a file of another size, and one that is not there', async () => {
    const bytes = PAGES * PAGE;
    const code = 'VSMR_RAM';
    await expect(FileRam.open({ path: file, bytes: bytes + PAGE })).rejects.toMatchObject({ code });
    const missing = path.join(folder, 'none');
    await expect(FileRam.open({ path: missing, bytes })).rejects.toMatchObject({ code });
  });

  test('a file that has become shorter is an error, not a change', async () => {
    await using ram = await FileRam.open({ path: file, bytes: PAGES * PAGE });
    const handle = await open(file, 'r+');
    await handle.truncate(PAGE);
    await handle.close();
    await expect(ram.refresh()).rejects.toMatchObject({ code: 'VSMR_RAM' });
  });

  test('a comparison that failed half way: the next one reports all pages', async () => {
    await using ram = await FileRam.open({ path: file, bytes: PAGES * PAGE, threads: 3 });
    await ram.refresh();
    await poke(5, 1);
    const handle = await open(file, 'r+');
    await handle.truncate(1024 * PAGE);
    await expect(ram.refresh()).rejects.toMatchObject({ code: 'VSMR_RAM' });
    await handle.truncate(PAGES * PAGE);
    await handle.close();
    expect((await ram.refresh()).size).toBe(PAGES);
    expect((await ram.read(Uint32Array.of(5)))[17]).toBe(1);
    await poke(6, 1);
    expect([...(await ram.refresh())]).toEqual([6]);
  });

  test('a refresh after close', async () => {
    const ram = await FileRam.open({ path: file, bytes: PAGES * PAGE });
    await ram.close();
    await expect(ram.refresh()).rejects.toMatchObject({ code: 'VSMR_RAM' });
  });
});

test('runs of pages', () => {
  const runs = [...pageRuns(Uint32Array.of(1, 2, 3, 5, 9, 10))];
  expect(runs).toEqual([
    { at: 0, count: 3 },
    { at: 3, count: 1 },
    { at: 4, count: 2 },
  ]);
});

async function contentsOf(name: string): Promise<Buffer> {
  const handle = await open(name);
  const contents = await handle.readFile();
  await handle.close();
  return contents;
}
