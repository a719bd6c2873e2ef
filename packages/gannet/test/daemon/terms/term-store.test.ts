import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { BLANK, inStep, leaving, opened } from '../../../src/daemon/arbitration/records.js';
import { readTermFile, TermStore } from '../../../src/daemon/terms/term-store.js';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-term-'));
  file = path.join(dir, 'web.term.json');
});
afterEach(async () => {
  await closeAll();
  await rm(dir, { recursive: true, force: true });
});

const stores: TermStore[] = [];
const store = async (vm = 'web'): Promise<TermStore> => {
  const it = await TermStore.open({ file, vm });
  stores.push(it);
  return it;
};
const closeAll = async (): Promise<void> => {
  for (const it of stores.splice(0)) await it.close();
};
/** As the next daemon finds it. */
const reopened = async (): Promise<TermStore> => {
  await closeAll();
  return store();
};
const open1 = opened(BLANK, BLANK, 'a1');

describe('a term file', () => {
  test('that is missing is that of a VM that was never protected', async () => {
    expect((await store()).record).toBe(BLANK);
    expect(await readdir(dir)).toEqual(['web.term.json.lock']);
  });

  test('has what was written, for the next daemon too', async () => {
    const first = await store();
    await first.update(() => open1);
    const written = await first.update(inStep);
    expect(written).toMatchObject({ lineage: 'a1', term: 1, word: 'protected', evidence: null });
    expect((await reopened()).record).toEqual(written);
    expect(await readdir(dir)).toEqual(['web.term.json', 'web.term.json.lock']);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      ...{ format: 'gannet-term-1', vm: 'web', term: 1 },
    });
  });

  test.each([
    ['torn', '{"format": "gannet-term-1", "vm": "web", "lin'],
    ['empty', ''],
    ['of another version', '{"format": "gannet-term-9", "vm": "web"}'],
    ['of another VM', JSON.stringify({ ...BLANK, ...open1, format: 'gannet-term-1', vm: 'db' })],
  ])('that is %s is refused, and stays as it is', async (_what, text) => {
    await writeFile(file, text);
    await expect(store()).rejects.toMatchObject({
      ...{ code: 'GANNET_CONFIG', message: expect.stringContaining(file) },
      remedy: expect.stringContaining('the other host'),
    });
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  test('that another daemon has is refused, and is free when that has ended', async () => {
    const first = await store();
    await expect(TermStore.open({ file, vm: 'web' })).rejects.toMatchObject({
      ...{ code: 'GANNET_CONFIG', message: expect.stringContaining(`uses the term file ${file}`) },
      remedy: expect.stringMatching(/Stop that daemon.*`termFile`/),
    });
    // Reading it, as `gannet check` does, is no use of it.
    expect(await readTermFile(file, 'web')).toBe(BLANK);
    const write = first.update(() => open1);
    expect((await reopened()).record).toEqual(await write);
  });

  test('in a folder that is not there is refused', async () => {
    await rm(dir, { recursive: true });
    await expect(store()).rejects.toMatchObject({
      ...{ code: 'GANNET_CONFIG', remedy: expect.stringContaining('Create its folder') },
    });
  });

  test('is not changed by a write that fails, nor is what the daemon says', async () => {
    const it = await store();
    await it.update(() => open1);
    await rm(dir, { recursive: true });
    await expect(it.update(leaving)).rejects.toMatchObject({ code: 'GANNET_CONFIG' });
    expect(it.record).toMatchObject({ term: 1, word: 'alone' });
  });

  test('a crash before the rename leaves the record before it', async () => {
    const it = await store();
    await it.update(() => open1);
    await writeFile(`${file}.0123abcd.new`, '{"format": "gannet');
    expect((await reopened()).record).toEqual(it.record);
  });
});

describe('writes', () => {
  test('are made in turn, each on the record before it', async () => {
    const it = await store();
    await it.update(() => open1);
    const all = [it.update(inStep), it.update(leaving), it.update(() => undefined)];
    expect((await Promise.all(all)).map(({ term, word }) => [term, word])).toEqual([
      [1, 'protected'],
      [2, 'leaving'],
      [2, 'leaving'],
    ]);
  });

  test('are shown only when they are on stable storage', async () => {
    const seen: string[] = [];
    const it = await store();
    it.on(({ word }) => seen.push(word));
    const write = it.update(() => open1);
    expect([it.record.word, seen]).toEqual(['none', []]);
    await write;
    expect([it.record.word, seen]).toEqual(['alone', ['alone']]);
  });

  test('after one that failed are made', async () => {
    const it = await store();
    const failed = it.update(() => {
      throw new Error('refused');
    });
    const next = it.update(() => open1);
    await expect(failed).rejects.toThrow('refused');
    expect(await next).toMatchObject({ word: 'alone' });
  });

  test('never lower the term', async () => {
    const it = await store();
    await it.update(() => ({ ...open1, term: 7 }));
    await expect(it.update(() => open1)).rejects.toThrow('would fall');
  });
});
