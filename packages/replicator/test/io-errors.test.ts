import { NbdCommandError } from '@gannet/nbd';
import { expect, test } from '@jest/globals';
import { allDone, ioRemedy, isNoSpace } from '../src/io-errors.js';

test.each(['ENOSPC', 'EDQUOT', 'EFBIG'])('%s is a lack of space', (code) => {
  expect(isNoSpace(Object.assign(new Error(code), { code }))).toBe(true);
});

test('so is what NBD calls ENOSPC; nothing else is', () => {
  expect(isNoSpace(new NbdCommandError('ENOSPC', 'full'))).toBe(true);
  expect(isNoSpace(new NbdCommandError('EIO', 'broken'))).toBe(false);
  expect([undefined, null, 'ENOSPC'].map(isNoSpace)).toEqual([false, false, false]);
  expect(ioRemedy(true)).toContain('Make space');
  expect(ioRemedy(false)).toContain('Check the image');
});

test('operations end together, and the first failure is thrown', async () => {
  const ends: string[] = [];
  const ending = async (name: string, turns: number, fails: boolean): Promise<void> => {
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    ends.push(name);
    if (fails) throw new Error(name);
  };
  await expect(
    allDone([ending('slow', 9, true), ending('quick', 1, true), ending('fine', 5, false)]),
  ).rejects.toThrow('slow');
  expect(ends).toEqual(['quick', 'fine', 'slow']);
});
