import { expect, test } from '@jest/globals';
import { manPage } from '../../src/cli/man.js';

test('the manual page has no character that a terminal in the locale C cannot show', () => {
  const strange = manPage()
    .split('\n')
    .filter((line) => /[^ -~]/.test(line));
  expect(strange).toEqual([]);
});
