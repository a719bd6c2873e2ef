import { expect, test } from '@jest/globals';
import { nearest } from '../src/nearest.js';

const NAMES = ['db', 'mail', 'web', 'web-staging'];

test.each([
  ['wbe', 'web'],
  ['Web', 'web'],
  ['web-', 'web-staging'],
  ['web-s', 'web-staging'],
  ['web-stagign', 'web-staging'],
  ['mial', 'mail'],
  ['dbx', 'db'],
  ['b', 'db'],
])('%s means %s', (written, name) => {
  expect(nearest(written, NAMES)).toBe(name);
});

test.each(['', 'x', 'proxy', 'production'])('%p means none of them', (written) => {
  expect(nearest(written, NAMES)).toBeUndefined();
});
