import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { COLO, NONE, Pair, PROTECTED, until } from '../../support/primary-pair.js';

// W5: a guest whose writes wait for a dead secondary stands still until that was let go. What fails
// on the way there has an owner, who tries again by itself.

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-retry-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A fence that works once the test says so. */
const fence = (): string => `test -e ${dir}/works`;
const mendFence = (): Promise<void> => writeFile(path.join(dir, 'works'), '');

const failedFences = (pair: Pair): number =>
  pair.kinds('fence').filter((event) => !(event as { succeeded: boolean }).succeeded).length;

async function lost(options: { readonly fence?: string } = {}): Promise<Pair> {
  const pair = await Pair.start({ colo: COLO, own: PROTECTED, ...options });
  await until(() => pair.state === 'protected');
  pair.fake?.qemu.emit('COLO_EXIT', { mode: 'primary', reason: 'error' });
  pair.fake?.qemu.reply('query-colo-status', NONE);
  return pair;
}

describe('a primary that has lost its secondary', () => {
  test('has it fenced again when the fence has failed', async () => {
    const pair = await lost({ fence: fence() });
    await until(() => failedFences(pair) === 2);
    expect(pair.state).toBe('protected');
    expect(pair.kinds('secondary-lost')).toHaveLength(1);
    await mendFence();
    await until(() => pair.state === 'alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'fence' });
  });

  test('writes its new term again when that has failed', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await until(() => pair.state === 'protected');
    const full = new Error('no space left');
    jest.spyOn(pair.terms, 'update').mockRejectedValueOnce(full);
    pair.fake?.qemu.emit('COLO_EXIT', { mode: 'primary', reason: 'error' });
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await until(() => pair.state === 'alone');
    expect(pair.kinds('trouble')).toContainEqual(
      expect.objectContaining({ message: 'no space left' }),
    );
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4 });
  });

  test('goes on at once when the secondary yields meanwhile', async () => {
    const pair = await lost({ fence: fence() });
    await until(() => failedFences(pair) === 1);
    await pair.connectSecondary();
    await until(() => pair.state === 'alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
    expect(failedFences(pair)).toBe(1);
  });

  test('while a detach could tell nobody lets it go all the same', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    pair.yields = false;
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().peer.pulse === 'up');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    const detached = pair.role.detach(false);
    await until(() => pair.terms.record.word === 'leaving');
    // Its link breaks while it is asked.
    pair.fake?.qemu.emit('COLO_EXIT', { mode: 'primary', reason: 'error' });
    await expect(detached).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await until(() => pair.state === 'alone');
  });

  test('that is there again before its new term was written stays protected', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await pair.connectSecondary();
    await until(() => pair.role.status().peer.pulse === 'up');
    await pair.secondary?.close();
    const update = jest.spyOn(pair.terms, 'update').mockRejectedValueOnce(new Error('full'));
    await until(() => pair.kinds('secondary-lost').length > 0 && update.mock.calls.length > 0);
    await pair.connectSecondary();
    await until(() => pair.role.status().peer.pulse === 'up');
    const { length } = pair.beats;
    await until(() => pair.beats.length > length + 40);
    expect(pair.kinds('alone')).toEqual([]);
    expect([pair.state, pair.terms.record.word]).toEqual(['protected', 'protected']);
  });

  test('and ends tries nothing any more', async () => {
    const pair = await lost({ fence: `echo >>${dir}/fences; exit 1` });
    await until(() => failedFences(pair) === 1);
    await pair.role.close();
    await rm(path.join(dir, 'fences'));
    // Longer than the first pause.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(existsSync(path.join(dir, 'fences'))).toBe(false);
  });
});

test('a daemon that finds a protection half undone tries until it is undone', async () => {
  const own = { ...PROTECTED, word: 'leaving' as const, term: 4 };
  const pair = await Pair.start({ colo: COLO, own, fence: fence() });
  pair.fake?.qemu.reply('query-colo-status', COLO);
  await until(() => failedFences(pair) === 1);
  await mendFence();
  pair.fake?.qemu.reply('query-colo-status', NONE);
  await until(() => pair.kinds('alone').length > 0);
  expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'fence' });
});
