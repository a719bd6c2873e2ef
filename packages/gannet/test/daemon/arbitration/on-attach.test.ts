import { describe, expect, test } from '@jest/globals';
import { COPY_WORDS } from '@gannet/contract';
import { type Found, ON_ATTACH } from '../../../src/daemon/arbitration/on-attach.js';

const FOUND: readonly Found[] = ['protected', 'broken', 'ended', 'idle'];

/** `protected`, `broken`, `ended`, `idle`: as the table in docs/reference/term-file.md. */
const EXPECTED = {
  none: 'adopt let-go run run',
  protected: 'adopt let-go let-go hold',
  leaving: 'let-go let-go let-go hold',
  alone: 'let-go let-go run run',
  'taken-over': 'let-go let-go run run',
  outdated: 'stop stop stop stop',
};

describe('what a primary does with the QEMU that it finds', () => {
  test.each(COPY_WORDS)('when its record says %s', (word) => {
    expect(FOUND.map((found) => ON_ATTACH[word][found]).join(' ')).toBe(EXPECTED[word]);
  });
});
