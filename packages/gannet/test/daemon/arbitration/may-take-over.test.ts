import { describe, expect, test } from '@jest/globals';
import { FAILOVER_EVIDENCE, type PeerStatus } from '@gannet/contract';
import {
  automaticStep,
  evidenceIn,
  type FailoverPolicy,
  mayFence,
  mayJoin,
  notProven,
  type PairView,
  unfitness,
  wellPeer,
} from '../../../src/daemon/arbitration/may-take-over.js';

import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { record } from '../../support/records.js';

const HIGH_MS = 5000;
const POLICY: FailoverPolicy = {
  isAutomatic: true,
  hasFence: true,
  fenceDelayMs: 0,
  highMs: HIGH_MS,
  periodMs: 2000,
};

type PrimaryPeer = Extract<PeerStatus, { role: 'primary' }>;

function primary(status: Partial<PrimaryPeer> = {}): PrimaryPeer {
  return {
    ...{ role: 'primary', state: 'protected', epoch: 7, vm: 'ready' },
    record: record('protected', 3, { mustProve: true }),
    ...status,
  };
}

/** A secondary that is well and hears its primary. */
function view(change: Partial<PairView> = {}): PairView {
  return {
    vm: 'web',
    own: record('protected', 3),
    replica: { state: 'protected', reason: '', loss: undefined },
    doubt: undefined,
    ownVm: 'ready',
    coloExit: undefined,
    peer: { liveness: 'up', status: primary(), silentMs: 0 },
    commitAgeMs: 100,
    ...change,
  };
}

function silent(silentMs: number, change: Partial<PairView> = {}): PairView {
  return view({
    peer: { liveness: 'lost', status: primary(), silentMs },
    commitAgeMs: silentMs,
    ...change,
  });
}

const said = (status: Partial<PrimaryPeer>): PairView =>
  view({ peer: { liveness: 'up', status: primary(status), silentMs: 0 } });

const replica = (state: PairView['replica']['state']): PairView['replica'] => ({
  state,
  reason: '',
  loss: undefined,
});

describe('who is unfit neither takes over nor fences', () => {
  const unfit: readonly [string, Partial<PairView>, RegExp][] = [
    ['it is being seeded', { replica: replica('seeding') }, /seeding/],
    ['it has diverged', { replica: replica('diverged') }, /diverged/],
    ['its copy was never in step', { own: record('none', 2) }, /term 2, none/],
    ['its copy is outdated', { own: record('outdated', 4) }, /term 4, outdated/],
    ['the last checkpoint is in doubt', { doubt: 'no answer' }, /no answer/],
    ['its own VM has ended', { ownVm: 'lost' }, /secondary VM has ended/],
    ['its own VM hangs', { ownVm: 'hung' }, /secondary VM is hung/],
    ['its own VM is unusable', { ownVm: 'unusable' }, /secondary VM is unusable/],
    ['its own VM is not there', { ownVm: 'awaited' }, /secondary VM is awaited/],
  ];

  test.each(unfit)('%s', (_what, change, message) => {
    expect(unfitness(view(change))).toMatchObject({
      code: 'GANNET_REFUSED',
      exit: 'refused',
      message: expect.stringMatching(message),
    });
  });

  test.each(unfit.filter(([, { ownVm }]) => ownVm !== 'hung'))(
    'nothing is done by itself: %s',
    (_what, change) => {
      expect(automaticStep(silent(3_600_000, change), POLICY)).toEqual({ kind: 'none' });
      expect(automaticStep({ ...said({ vm: 'lost' }), ...change }, POLICY)).toEqual({
        kind: 'none',
      });
    },
  );

  test('a VM that hangs may hang on its links: the failover frees it before it judges', () => {
    const step = automaticStep(silent(3_600_000, { ownVm: 'hung' }), POLICY);
    expect(step).toEqual({ kind: 'fail-over' });
  });

  test('without a VM of its own, checkpoints come by call, and that is fit', () => {
    expect(unfitness(view({ ownVm: undefined }))).toBeUndefined();
  });
});

describe('evidence', () => {
  test("the word of the primary's daemon that its QEMU has ended", () => {
    expect(evidenceIn(said({ vm: 'lost' }))).toMatchObject({ kind: 'word' });
  });

  test.each(['ready', 'hung', 'lost'] as const)(
    'the word of a primary that yields, its QEMU %s',
    (vm) => {
      const seen = said({ vm, state: 'yielding' });
      expect(evidenceIn(seen)).toMatchObject({ kind: 'word' });
      expect(automaticStep(seen, { ...POLICY, hasFence: false })).toEqual({ kind: 'fail-over' });
    },
  );

  describe('a claim that the primary has given way to', () => {
    const claimed = (own: Partial<PairView['own']>, peer: Partial<PrimaryPeer> = {}): PairView => ({
      ...said({ isStill: true, record: record('outdated', 4), ...peer }),
      own: record('taken-over', 4, { evidence: 'word', ...own }),
    });

    test('a takeover that has failed is tried again', () => {
      expect(evidenceIn(claimed({}))).toMatchObject({ kind: 'word' });
      const ended = claimed({}, { vm: 'lost', isStill: false });
      expect(evidenceIn(ended)).toMatchObject({ kind: 'word' });
      expect(automaticStep(claimed({}), { ...POLICY, hasFence: false })).toEqual({
        kind: 'fail-over',
      });
    });

    test.each([
      ['one by force', claimed({ isForced: true })],
      ['of another term', claimed({ term: 5 })],
      ['of another lineage', claimed({ lineage: 'b2' })],
      ['of one that goes on', claimed({}, { record: record('alone', 4) })],
      ['before its guest is known to stand still', claimed({}, { isStill: false })],
      ['one whose QEMU hangs', claimed({}, { vm: 'hung', isStill: false })],
    ])('is none: %s', (_what, seen) => {
      expect(evidenceIn(seen)).toBeUndefined();
    });
  });

  test.each([
    ['hung is not ended', said({ vm: 'hung' })],
    ['of an older term', said({ vm: 'lost', record: record('protected', 2) })],
    ['of a term that was never closed', said({ vm: 'lost', record: record('alone', 3) })],
    ['of one that has raised its term', said({ vm: 'lost', record: record('leaving', 4) })],
    ['of another lineage', said({ vm: 'lost', record: record('protected', 3, { lineage: 'b2' }) })],
    [
      'one that was not protected says nothing about this pair',
      said({ vm: 'lost', state: 'alone' }),
    ],
    ['the end of a VM that was ended on purpose', said({ vm: 'lost', state: 'ended' })],
    ['silence', silent(3_600_000)],
    [
      'what was said before the silence',
      {
        ...silent(3_600_000),
        peer: { liveness: 'lost', status: primary({ vm: 'lost' }), silentMs: 3_600_000 },
      } satisfies PairView,
    ],
    ['the end of COLO', view({ coloExit: 'error' })],
  ])('is not: %s', (_what, seen) => {
    expect(evidenceIn(seen)).toBeUndefined();
  });

  test.each(['failed-over', 'retired'] as const)('a replica that is %s', (state) => {
    expect(evidenceIn(view({ replica: replica(state) }))).toMatchObject({ kind: 'done' });
  });
});

describe('an operator may have the primary fenced', () => {
  test.each([
    ['silence', silent(1)],
    ['the end of COLO', view({ coloExit: 'error' })],
    ['a link that broke', view({ replica: { ...replica('protected'), loss: 'closed' } })],
  ])('after %s', (_what, seen) => {
    expect(mayFence(seen, POLICY)).toBe(true);
    expect(mayFence(seen, { ...POLICY, hasFence: false })).toBe(false);
  });

  // W2: it may have gone on alone, and what it wrote would be gone.
  test.each<[string, Partial<PrimaryPeer>]>([
    ['has promised nothing', { record: record('protected', 3) }],
    ['has said that it goes', { record: record('leaving', 4) }],
    ['has never said that both are in step', { record: record('alone', 3) }],
  ])('not if a primary that is silent now %s', (_what, status) => {
    const seen = view({ peer: { liveness: 'lost', status: primary(status), silentMs: 3_600_000 } });
    expect(mayFence({ ...seen, coloExit: 'error' }, POLICY)).toBe(false);
    expect(automaticStep({ ...seen, commitAgeMs: Infinity }, POLICY)).toEqual({ kind: 'none' });
    expect(notProven(seen).message).toMatch(/dead, and has not continued alone before/);
  });

  test('where checkpoints come by call, and there is no primary daemon', () => {
    const peer = { liveness: 'none', status: undefined, silentMs: 0 } as const;
    expect(mayFence(view({ peer, ownVm: undefined, coloExit: 'error' }), POLICY)).toBe(true);
  });

  test('not while it is heard and works', () => {
    expect(mayFence(view(), POLICY)).toBe(false);
  });
});

describe('automatic failover', () => {
  const done = { kind: 'fail-over' };

  test('acts at once when the daemon of the primary says that its QEMU has ended or hangs', () => {
    expect(automaticStep(said({ vm: 'lost' }), POLICY)).toEqual(done);
    expect(automaticStep(said({ vm: 'hung' }), POLICY)).toEqual(done);
    expect(automaticStep(view(), POLICY)).toEqual({ kind: 'none' });
  });

  test('proves again, by the same rules, a takeover that it claimed and that failed', () => {
    const lost = { liveness: 'up' as const, status: primary({ vm: 'lost' }), silentMs: 0 };
    const claimed = { ...record('taken-over', 4), isForced: false };
    expect(automaticStep(view({ own: claimed, peer: lost }), POLICY).kind).toBe('fail-over');
    expect(automaticStep(silent(20_000, { own: claimed }), POLICY).kind).toBe('fail-over');
    // The primary is well after all, another term lies between, or an operator has decided.
    expect(automaticStep(view({ own: claimed }), POLICY).kind).toBe('none');
    for (const own of [record('taken-over', 5), { ...record('taken-over', 4), isForced: true }]) {
      expect(automaticStep(view({ own, peer: lost }), POLICY).kind).toBe('none');
    }
  });

  test('needs a fence for everything but the word that QEMU has ended', () => {
    const policy = { ...POLICY, hasFence: false };
    expect(automaticStep(said({ vm: 'lost' }), policy)).toEqual(done);
    expect(automaticStep(said({ vm: 'hung' }), policy)).toEqual({ kind: 'none' });
    expect(automaticStep(silent(3_600_000), policy)).toEqual({ kind: 'none' });
  });

  test('does nothing where an operator has to', () => {
    const policy = { ...POLICY, isAutomatic: false };
    expect(automaticStep(silent(3_600_000), policy)).toEqual({ kind: 'none' });
    expect(automaticStep(said({ vm: 'lost' }), policy)).toEqual({ kind: 'none' });
  });

  test('waits until the silence is twice as long as a primary waits', () => {
    const seen = { ...silent(2 * HIGH_MS - 1), commitAgeMs: 3_600_000 };
    expect(automaticStep(seen, POLICY)).toEqual({ kind: 'wait', ms: 1 });
    expect(automaticStep({ ...silent(2 * HIGH_MS), commitAgeMs: Infinity }, POLICY)).toEqual(done);
  });

  test('a commit is a sign of life that may be a whole period old', () => {
    const policy = { ...POLICY, periodMs: 60_000 };
    // A daemon that is restarted for 11 s, while COLO is well.
    const seen = { ...silent(11_000), commitAgeMs: 11_000 };
    expect(automaticStep(seen, policy)).toEqual({ kind: 'wait', ms: 59_000 });
    const later = { ...silent(70_000), commitAgeMs: 70_000 };
    expect(automaticStep(later, policy)).toEqual(done);
  });
});

describe('who forces a takeover has to say more if the primary is well', () => {
  test('and gets to know what both sides know', () => {
    expect(wellPeer(view())).toMatchObject({
      message: expect.stringMatching(/responds, it is protected \(term 3, protected\)\. This side/),
      remedy: expect.stringContaining('--overrule-peer'),
    });
  });

  test.each([
    ['is silent', silent(1)],
    ['has lost its QEMU', said({ vm: 'lost' })],
    ['has a QEMU that hangs', said({ vm: 'hung' })],
    ['has stopped its guest', said({ state: 'superseded', record: record('outdated', 5) })],
    ['holds its guest', said({ state: 'held' })],
  ])('not if it %s', (_what, seen) => {
    expect(wellPeer(seen)).toBeUndefined();
  });
});

describe('a secondary says that both copies are in step', () => {
  const opening = said({ state: 'protecting', record: record('alone', 4) });
  const fresh = { ...opening, own: record('none', 3) };

  test('when it is complete, in the term that its primary has opened', () => {
    expect(mayJoin(fresh)).toEqual(record('alone', 4));
    expect(mayJoin({ ...fresh, own: BLANK })).toEqual(record('alone', 4));
  });

  test.each<[string, Partial<PairView>]>([
    ['before its first checkpoint', { replica: replica('seeding') }],
    ['in a term that it knows', { own: record('none', 4) }],
    ['twice', { own: record('protected', 4) }],
    ['when it is outdated', { own: record('outdated', 3) }],
    ['of another VM', { own: record('none', 3, { lineage: 'b2' }) }],
    ['on what was said before a silence', { peer: { ...opening.peer, liveness: 'lost' } }],
  ])('not %s', (_what, change) => {
    expect(mayJoin({ ...fresh, ...change })).toBeUndefined();
  });

  test.each<[string, Partial<PrimaryPeer>]>([
    ['does not protect', { state: 'alone', record: record('alone', 4) }],
    ['is about to leave', { state: 'protecting', record: record('leaving', 4) }],
  ])('not to a primary that %s', (_what, status) => {
    expect(mayJoin({ ...fresh, peer: said(status).peer })).toBeUndefined();
  });

  test('by itself where checkpoints come by call', () => {
    const peer = { liveness: 'none', status: undefined, silentMs: 0 } as const;
    expect(mayJoin({ ...fresh, peer })).toBe('own');
  });
});

describe('a VM that is moved here', () => {
  const MOVED = record('protected', 3, { movedTo: 'b' });
  const off = { ...POLICY, isAutomatic: false, hasFence: false };

  test('is taken whatever the policy is, on the word of the primary that yields', () => {
    const yields = said({ state: 'yielding', record: MOVED });
    expect(automaticStep(yields, off)).toEqual({ kind: 'fail-over' });
    expect(evidenceIn(yields)).toEqual({ kind: 'word', words: FAILOVER_EVIDENCE.moved });
    // A guest whose disk has failed is another matter: it lost what came after the checkpoint.
    const failed = said({ state: 'yielding', record: record('protected', 3) });
    expect(automaticStep(failed, off)).toEqual({ kind: 'none' });
  });

  test.each<[string, Partial<PrimaryPeer>]>([
    ['before it yields', { state: 'protected', record: MOVED }],
    [
      'when it is taken back',
      { state: 'yielding', record: record('leaving', 4, { movedTo: 'b' }) },
    ],
    ['of another term', { state: 'yielding', record: record('protected', 4, { movedTo: 'b' }) }],
  ])('but not %s', (_what, status) => {
    expect(automaticStep(said(status), off)).toEqual({ kind: 'none' });
    expect(evidenceIn(said(status))).toBeUndefined();
  });

  test('nor by a copy that is not fit, nor on silence', () => {
    const status = primary({ state: 'yielding', record: MOVED });
    const peer = { liveness: 'up', status, silentMs: 0 } as const;
    expect(automaticStep(view({ peer, ownVm: 'lost' }), off)).toEqual({ kind: 'none' });
    expect(automaticStep(view({ peer, own: record('none', 3) }), off)).toEqual({ kind: 'none' });
    const lost = { ...peer, liveness: 'lost', silentMs: 60_000 } as const;
    expect(automaticStep(view({ peer: lost, commitAgeMs: 60_000 }), off)).toEqual({ kind: 'none' });
  });

  test('is carried on after a takeover that has failed, once the primary has given way', () => {
    const own = record('taken-over', 4);
    const status = { ...record('outdated', 4, { movedTo: 'b' }) };
    const yielded = primary({ state: 'superseded', isStill: true, record: status });
    const peer = { liveness: 'up', status: yielded, silentMs: 0 } as const;
    expect(automaticStep(view({ own, peer }), off)).toEqual({ kind: 'fail-over' });
  });
});
