import { describe, expect, test } from '@jest/globals';
import { COPY_WORDS, PRIMARY_STATES } from '@gannet/contract';
import { mayRun } from '../../../src/daemon/arbitration/may-run.js';

const STILL = ['held', 'yielding', 'ended', 'superseded'];

describe.each(PRIMARY_STATES)('a primary that is %s', (state) => {
  test.each(COPY_WORDS)('with a copy that is %s', (word) => {
    const isExpected = !STILL.includes(state) && word !== 'outdated';
    expect(mayRun({ state, word, standstill: undefined })).toBe(isExpected);
    // Whatever else is known: the guest would read old data.
    expect(mayRun({ state, word, standstill: 'its disk lacks a write' })).toBe(false);
  });
});
