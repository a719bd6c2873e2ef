import { expect, test } from '@jest/globals';
import { changedKeys } from '../../src/daemon/reload.js';

test.each([
  [{ a: 1 }, { a: 1 }, []],
  [{ a: 1, b: { c: 2, d: 3 } }, { a: 2, b: { c: 2, d: 4 } }, ['a', 'b.d']],
  [{ fence: undefined }, { fence: { command: ['x'] } }, ['fence']],
  [{ fence: { command: ['x', 'y'] } }, { fence: { command: ['x', 'z'] } }, ['fence.command']],
  [{ disks: [{ name: 'a' }] }, { disks: [] }, ['disks']],
  [{ disks: [{ name: 'a' }] }, { disks: [{ name: 'a' }] }, []],
  [{ peer: { lowMs: 1 } }, {}, ['peer']],
])('the keys that differ between %j and %j are %j', (before, after, keys) => {
  expect(changedKeys(before, after)).toEqual(keys);
});
