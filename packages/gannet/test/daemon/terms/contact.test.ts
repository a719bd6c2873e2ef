import { beforeEach, describe, expect, test } from '@jest/globals';
import type { PeerStatus, TermRecord } from '@gannet/contract';
import { Contact } from '../../../src/daemon/terms/contact.js';
import type { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record } from '../../support/records.js';

// When both sides hear of each other: which alarms there are.

const PROTECTED = record('protected', 3);
const TAKEN_OVER = record('taken-over', 4, { evidence: 'word' });

let alarms: object[];
let own: TermRecord;
let isGone: boolean;
let yields: number;

beforeEach(() => {
  alarms = [];
  isGone = false;
  yields = 0;
});

function contactOf(role: 'primary' | 'secondary', begin: TermRecord): Contact {
  own = begin;
  const terms = {
    get record() {
      return own;
    },
    // What is written is written later: beats come meanwhile.
    insist: (_what: string, change: (now: TermRecord) => unknown) => void change(own),
  } as unknown as TermStore;
  return new Contact({
    ...{ role, terms, isGone: () => isGone },
    history: { add: (_kind: string, details: object) => void alarms.push(details) },
    onYield: () => yields++,
    onTrouble: () => undefined,
  });
}

const primary: PeerStatus = {
  ...{ role: 'primary', state: 'protected', epoch: 5, vm: 'ready', periodMs: 1000 },
  record: PROTECTED,
};
const survivor: PeerStatus = {
  ...{ role: 'secondary', state: 'failed-over', epoch: 5, vm: 'ready', link: 'none' },
  record: TAKEN_OVER,
};

describe('a takeover from a primary that yields is no alarm', () => {
  test('on the primary, which stops to yield as it hears of it', () => {
    const contact = contactOf('primary', PROTECTED);
    isGone = true;
    contact.hear(survivor);
    isGone = false;
    contact.hear(survivor);
    expect(yields).toBe(2);
    expect(alarms).toEqual([]);
  });

  test('on the secondary, though the primary is superseded when it is heard next', () => {
    const contact = contactOf('secondary', PROTECTED);
    contact.hear({ ...primary, state: 'yielding' });
    own = TAKEN_OVER;
    contact.hear({ ...primary, state: 'superseded' });
    contact.hear({ ...primary, state: 'superseded' });
    expect(alarms).toEqual([]);
  });

  test('nor from one whose own disk has stopped its guest, while it let the secondary go', () => {
    const contact = contactOf('secondary', TAKEN_OVER);
    contact.hear({ ...primary, standstill: 'a write failed' });
    contact.hear({ ...primary, state: 'superseded' });
    expect(alarms).toEqual([]);
  });
});

describe('two guests are an alarm, once', () => {
  test('on the primary', () => {
    const contact = contactOf('primary', PROTECTED);
    contact.hear(survivor);
    contact.hear(survivor);
    expect(alarms).toMatchObject([{ newest: 'secondary', term: 4, outdatedTerm: 3 }]);
  });

  test.each(['protected', 'superseded'] as const)('on the secondary: %s', (state) => {
    const contact = contactOf('secondary', TAKEN_OVER);
    contact.hear({ ...primary, state });
    contact.hear({ ...primary, state });
    expect(alarms).toMatchObject([{ newest: 'secondary', term: 4, outdatedTerm: 3 }]);
  });

  test('also of a primary that has yielded, and whose guest runs again', () => {
    const contact = contactOf('secondary', PROTECTED);
    contact.hear({ ...primary, state: 'yielding' });
    own = TAKEN_OVER;
    contact.hear({ ...primary, state: 'unprotected' });
    expect(alarms).toHaveLength(1);
  });

  test('also of a primary that an operator lets run: its record says so before its state', () => {
    const contact = contactOf('secondary', TAKEN_OVER);
    contact.hear({ ...primary, vm: 'lost' });
    contact.hear({ ...primary, state: 'superseded', record: record('outdated', 4) });
    expect(alarms).toEqual([]);
    const forced = record('alone', 5, { isForced: true, evidence: 'operator' });
    contact.hear({ ...primary, state: 'superseded', record: forced });
    contact.hear({ ...primary, state: 'alone', record: forced });
    expect(alarms).toMatchObject([{ newest: 'primary', term: 5, outdatedTerm: 4 }]);
  });
});
