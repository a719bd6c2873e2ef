import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { PeerStatus, TermRecord } from '@gannet/contract';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import {
  SecondaryStanding,
  type SecondaryStandingOptions,
} from '../../../src/daemon/secondary/secondary-standing.js';
import type { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record, termsInMemory } from '../../support/records.js';

// A secondary that has taken over hears that an operator has let the primary run by force.

let fake: ListeningFakeQemu;
let qmp: QmpClient;
let isRunning: boolean;
let isHung: boolean;
let cuts: number;
let events: { kind: string; [detail: string]: unknown }[];
let given: string[];
let terms: TermStore;
let standing: SecondaryStanding;

beforeEach(async () => {
  [isRunning, isHung, cuts, events, given] = [true, false, 0, [], []];
  fake = await FakeQemu.listen();
  fake.qemu
    .on('query-status', async () => {
      while (isHung) await delay(5);
      return { return: { status: isRunning ? 'running' : 'paused', running: isRunning } };
    })
    .on('stop', () => {
      isRunning = false;
      return { return: {} };
    });
  qmp = await QmpClient.connect({ target: { kind: 'unix', path: fake.path } });
  begin(record('taken-over', 5, { evidence: 'fence' }));
});
afterEach(async () => {
  isHung = false;
  await qmp.close();
  await fake.close();
});

function begin(own: TermRecord, state = 'retired', isWaiting = false): void {
  const note = (what: string) => (): void => void given.push(what);
  terms = termsInMemory(own);
  standing = new SecondaryStanding({
    terms,
    history: { add: (kind: string, details?: object) => void events.push({ kind, ...details }) },
    replica: {
      ...{ state, isWaiting, on: () => undefined },
      ...{ outdate: note('outdate'), diverge: note('diverge') },
    },
    vm: { qmp, state: 'ready' },
    patienceMs: 50,
    cut: () => {
      cuts++;
      isHung = false;
      return Promise.resolve();
    },
    look: () => ({ own: terms.record, replica: { state }, peer: { liveness: 'up' } }),
    onTrouble: (error: unknown) => void events.push({ kind: 'trouble', error }),
  } as unknown as SecondaryStandingOptions);
}

/** A heartbeat of the primary's daemon. */
function hear(said: TermRecord, rest: Partial<PeerStatus> = {}): void {
  standing.hear({
    ...{ role: 'primary', state: 'alone', epoch: 7, vm: 'ready', host: 'alpha', record: said },
    ...rest,
  } as PeerStatus);
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

const kinds = (): string[] => events.map(({ kind }) => kind);
const FORCED = record('alone', 7, { isForced: true, evidence: 'operator' });

describe('a takeover that is overruled', () => {
  test('stops its guest, writes it down, and says which copy is which', async () => {
    hear(FORCED);
    await until(() => kinds().includes('second-copy-stopped'));
    expect(isRunning).toBe(false);
    expect(terms.record).toMatchObject({ word: 'outdated', term: 7 });
    expect(events[0]).toEqual({
      ...{ kind: 'two-copies', newest: 'primary', host: 'alpha', term: 7, outdatedTerm: 5 },
    });
    // Its disks are a guest's own: nothing is taken from them.
    expect(given).toEqual([]);
  });

  test('stops a guest that somebody continues, and reports the two copies once', async () => {
    hear(FORCED);
    await until(() => kinds().includes('second-copy-stopped'));
    isRunning = true;
    fake.qemu.emit('RESUME');
    await until(() => !isRunning);
    hear(FORCED);
    hear(FORCED);
    await until(() => kinds().filter((kind) => kind === 'second-copy-stopped').length === 2);
    expect(kinds().filter((kind) => kind === 'two-copies')).toHaveLength(1);
  });

  test('frees a QEMU that hangs on its links, and stops it then', async () => {
    isHung = true;
    hear(FORCED);
    await until(() => !isRunning);
    expect(cuts).toBeGreaterThan(0);
  });

  test('stays so for the next daemon, which has only the term file', async () => {
    begin(record('outdated', 7), 'failed-over');
    hear(FORCED);
    await until(() => !isRunning);
    expect(given).toEqual([]);
  });

  test('by a claim of the same term, if that was forced and this was not', async () => {
    hear(record('alone', 5, { isForced: true, evidence: 'operator' }));
    await until(() => !isRunning);
    expect(terms.record.word).toBe('outdated');
  });
});

describe('a takeover that stands', () => {
  test.each([
    ['a lower term', record('alone', 4), 'taken-over'],
    ['the same term, forced by nobody', record('alone', 5), 'taken-over'],
    ['a primary that has yielded', record('outdated', 9), 'taken-over'],
    ['a primary that remembers nothing', record('none', 0), 'taken-over'],
    ['another VM', record('alone', 9, { lineage: 'b2' }), 'taken-over'],
  ])('is not shaken by %s', async (_what, said, word) => {
    hear(said);
    // What it would do, it would have done, or begun, by then.
    await terms.update(() => undefined);
    await qmp.execute('query-status');
    expect(isRunning).toBe(true);
    expect(terms.record).toMatchObject({ word, term: 5 });
    expect(fake.qemu.received.map(({ command }) => command)).not.toContain('stop');
  });
});

describe('a copy that has not taken over', () => {
  test.each([
    ['the primary runs on: its last commit is worthless', 'ready', 'outdate'],
    ['the primary has ended: its last commit may be the only copy', 'lost', 'diverge'],
  ] as const)('yields when %s', async (_what, vm, what) => {
    begin(record('protected', 5), 'protected');
    hear(record('alone', 6), { vm });
    await until(() => given.length > 0);
    expect(given[0]).toBe(what);
    await until(() => terms.record.word === 'outdated');
    expect(isRunning).toBe(true);
  });
});

// QEMU enters COLO by itself if the primary's daemon ends in stage `colo`.
describe('a copy that never joined a term, and whose primary is lost', () => {
  test.each([
    ['an operator has heard of no primary that runs', 'alone', 'lost', []],
    ['its primary is being protected', 'protecting', 'ready', []],
    ['its primary runs without it: its last commit is worthless', 'alone', 'ready', ['outdate']],
    ['the same, by a daemon that found no COLO', 'unprotected', 'ready', ['outdate']],
  ] as const)('%s', (_what, state, vm, what) => {
    begin(record('none', 2), 'protected', true);
    hear(record('alone', 3), { state, vm });
    expect(given).toEqual(what);
  });

  test('nothing follows while its link is whole', () => {
    begin(record('none', 2), 'protected');
    hear(record('alone', 3));
    expect(given).toEqual([]);
  });
});
