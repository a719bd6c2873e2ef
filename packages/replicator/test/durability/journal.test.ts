import { createHash } from 'node:crypto';
import { appendFile, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import type { Run } from '../../src/disk/merge-epochs.js';
import { discardJournal, Journal, replayJournal } from '../../src/durability/journal.js';
import { temporaryFiles } from '../support/files.js';
import { Random } from '@gannet/test-support/random.js';

const UUID = '6f1c5a0e-0a40-4ac7-8ddf-6d3a2a64b1f0';
const SIZE = 64 * 1024;
const at = temporaryFiles();

describe('Journal', () => {
  test('I4 durability: replays data and zeros of all disks in order, repeatedly', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([
      { disk: 0, runs: [zero(0, 8192), data(100, 'first')] },
      { disk: 1, runs: [data(0, 'other disk')] },
    ]);
    await journal.append([{ disk: 0, runs: [data(102, 'RST')] }]);
    await journal.sync();
    await journal.close();
    const disks = [Buffer.alloc(SIZE, 9), Buffer.alloc(SIZE, 9)];
    for (let time = 0; time < 3; time++) {
      expect(await replayInto(disks, at('j'))).toBe(2);
      expect(disks[0]!.toString('latin1', 100, 106)).toBe('fiRST\0');
      expect(disks[0]!.subarray(8192).every((byte) => byte === 9)).toBe(true);
      expect(disks[1]!.toString('latin1', 0, 10)).toBe('other disk');
    }
  });

  test('I4 durability: torn at any byte, it gives exactly what was sealed before', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([{ disk: 0, runs: [data(0, 'one')] }]);
    const sealed = 64 + journal.bytes;
    await journal.append([{ disk: 0, runs: [data(0, 'two'), zero(4096, 4096), data(9000, 'x')] }]);
    await journal.close();
    const whole = await readFile(at('j'));
    for (let length = sealed; length <= whole.length; length++) {
      await writeFile(at('torn'), whole.subarray(0, length));
      await expectOneOrTwo(at('torn'), length === whole.length);
    }
    for (let byte = sealed; byte < whole.length; byte++) {
      const flipped = Buffer.from(whole);
      flipped[byte] = flipped[byte]! ^ 0x40;
      await writeFile(at('torn'), flipped);
      await expectOneOrTwo(at('torn'), false);
    }
  });

  test('bytes behind the last seal do not count, whatever they are', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([{ disk: 0, runs: [data(0, 'two')] }]);
    await journal.close();
    await appendFile(at('j'), Buffer.alloc(3_000_000, 0x47));
    const disk = Buffer.alloc(SIZE);
    expect(await replayInto([disk], at('j'))).toBe(1);
    expect(disk.toString('latin1', 0, 3)).toBe('two');
  });

  test('the rest of a longer append that was taken back is not replayed', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([{ disk: 0, runs: [data(0, 'old'), data(10, 'OLD')] }]);
    journal.rewind();
    await journal.append([{ disk: 0, runs: [data(0, 'new')] }]);
    await journal.close();
    // What follows the new seal is whole, with its seal, at a frame's beginning: 'OLD' was cut by
    // nothing.
    const frame = 48 + 3;
    const bytes = await readFile(at('j'));
    expect(bytes.length).toBe(64 + frame * 2 + 48);
    const handle = await open(at('j'), 'r+');
    const remains = await framesOf('OLD');
    await handle.write(remains, 0, remains.length, 64 + frame + 48);
    await handle.close();
    const disk = Buffer.alloc(SIZE);
    expect(await replayInto([disk], at('j'))).toBe(1);
    expect(disk.toString('latin1', 0, 3)).toBe('new');
    expect(disk[10]).toBe(0);
  });

  test('is empty after a reset, and takes frames again', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([{ disk: 0, runs: [data(0, 'old'), data(10, 'OLD')] }]);
    await journal.sync();
    await journal.reset();
    expect(journal.bytes).toBe(0);
    expect(await replayInto([Buffer.alloc(SIZE)], at('j'))).toBe(0);
    await journal.append([{ disk: 0, runs: [data(0, 'new')] }]);
    await journal.close();
    const disk = Buffer.alloc(SIZE);
    expect(await replayInto([disk], at('j'))).toBe(1);
    expect(disk.toString('latin1', 0, 3)).toBe('new');
  });

  test('thousands of small frames and the largest one are read back', async () => {
    const journal = await Journal.create(at('j'), UUID);
    const random = new Random(7);
    const large = random.bytes(1024 * 1024);
    const runs = Array.from({ length: 3000 }, (_, page) => data(page * 8, String(page)));
    await journal.append([{ disk: 0, runs: [...runs, data(100_000, large)] }]);
    await journal.close();
    const disk = Buffer.alloc(2 * 1024 * 1024);
    await replayInto([disk], at('j'));
    expect(disk.toString('latin1', 2999 * 8, 2999 * 8 + 4)).toBe('2999');
    expect(disk.subarray(100_000, 100_000 + large.length).equals(large)).toBe(true);
  });

  test.each([
    ['a kind that is not known', 4, 4, 0],
    ['an offset beyond all disks', 16, 0xff, 3],
  ])(
    'refuses a whole frame with %s, before anything is replayed',
    async (_what, place, value, length) => {
      const journal = await Journal.create(at('j'), UUID);
      await journal.append([{ disk: 0, runs: [data(0, 'first'), data(100, 'odd')] }]);
      await journal.close();
      const bytes = await readFile(at('j'));
      const odd = 64 + 48 + 5;
      bytes[odd + place] = value;
      const hash = createHash('sha256').update(bytes.subarray(odd, odd + 32));
      hash
        .update(bytes.subarray(odd + 48, odd + 48 + length))
        .digest()
        .copy(bytes, odd + 32, 0, 16);
      await writeFile(at('j'), bytes);
      const disk = Buffer.alloc(SIZE);
      await expect(replayInto([disk], at('j'))).rejects.toMatchObject({
        code: 'REPLICA_JOURNAL_FOREIGN',
      });
      expect(disk.every((byte) => byte === 0)).toBe(true);
    },
  );

  test('is never created over a file, least of all over a live journal', async () => {
    const journal = await Journal.create(at('j'), UUID);
    await journal.append([{ disk: 0, runs: [data(0, 'kept')] }]);
    await journal.sync();
    await expect(Journal.create(at('j'), UUID.replace('6', '7'))).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_FOREIGN',
      remedy: expect.stringContaining('path'),
    });
    await journal.append([{ disk: 0, runs: [data(4, ' too')] }]);
    await journal.close();
    const disk = Buffer.alloc(SIZE);
    expect(await replayInto([disk], at('j'))).toBe(2);
    expect(disk.toString('latin1', 0, 8)).toBe('kept too');
  });

  test('can be created again after it could not be written', async () => {
    // A uuid that no buffer takes: it fails once the file is there.
    await expect(Journal.create(at('j'), null as unknown as string)).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IO',
    });
    await (await Journal.create(at('j'), UUID)).close();
  });

  test('is discarded whole or torn; a file that is no journal stays', async () => {
    await discardJournal(at('j'));
    for (const length of [64, 30, 0]) {
      await (await Journal.create(at('j'), UUID)).close();
      await truncate(at('j'), length);
      await discardJournal(at('j'));
    }
    await writeFile(at('j'), 'the only copy of a disk');
    await expect(discardJournal(at('j'))).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_FOREIGN',
    });
    expect(await readFile(at('j'), 'utf8')).toBe('the only copy of a disk');
  });

  test("refuses another replica's journal, another file, and a missing one", async () => {
    await (await Journal.create(at('j'), UUID)).close();
    const other = UUID.replace('6', '7');
    await expect(replayInto([], at('j'), other)).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_FOREIGN',
      message: `${at('j')} is not the journal of replica ${other}`,
    });
    await truncate(at('j'), 10);
    await expect(replayInto([], at('j'))).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_FOREIGN',
    });
    await expect(replayInto([], at('none'))).rejects.toMatchObject({ code: 'REPLICA_JOURNAL_IO' });
    await expect(Journal.create(at('no/folder'), UUID)).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IO',
      remedy: expect.stringContaining('free space'),
    });
  });
});

/** Frames as an append would have written them that came before the one that replaced it. */
async function framesOf(text: string): Promise<Buffer> {
  const journal = await Journal.create(at('other'), UUID);
  await journal.append([{ disk: 0, runs: [data(10, text)] }]);
  await journal.close();
  return (await readFile(at('other'))).subarray(64);
}

function data(offset: number, contents: string | Buffer): Run {
  const bytes = Buffer.from(contents);
  return { kind: 'data', offset, length: bytes.length, copyTo: (target) => target.set(bytes) };
}

function zero(offset: number, length: number): Run {
  return { kind: 'zero', offset, length };
}

function replayInto(disks: Buffer[], file: string, uuid = UUID): Promise<number> {
  return replayJournal(file, uuid, {
    write: (disk, offset, bytes) => Promise.resolve(disks[disk]!.set(bytes, offset)),
    zero: (disk, offset, length) => {
      disks[disk]!.fill(0, offset, offset + length);
      return Promise.resolve();
    },
  });
}

async function expectOneOrTwo(file: string, isTwo: boolean): Promise<void> {
  const disk = Buffer.alloc(SIZE, 9);
  const seals = await replayInto([disk], file);
  if (seals !== (isTwo ? 2 : 1)) throw new Error(`${seals} seals`);
  if (disk.toString('latin1', 0, 3) !== (isTwo ? 'two' : 'one')) throw new Error('wrong contents');
  if (disk[4096] !== (isTwo ? 0 : 9)) throw new Error('zeroed too early');
}
