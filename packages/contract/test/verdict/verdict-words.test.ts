import { describe, expect, test } from '@jest/globals';
import type { KnownPrimary, KnownSecondary, PairFacts } from '../../src/verdict/pair-facts.js';
import { verdictOfFacts } from '../../src/verdict/verdict.js';

const PRIMARY: KnownPrimary = {
  ...{ knowledge: 'here', ageMs: 0, host: 'alpha', qemu: 'ready', trouble: '' },
  ...{ state: 'protected', stage: '', standstill: '', movedTo: '' },
};
const SECONDARY: KnownSecondary = {
  ...{ knowledge: 'fresh', ageMs: 200, host: 'beta', qemu: 'ready', trouble: '' },
  ...{ state: 'protected', isOutdated: false, reason: '', link: 'whole', linkLoss: '' },
  ...{ baseTrouble: '', mayFailOver: true, commitAgeMs: 1000 },
};
const NEW = { state: 'seeding', link: 'none', mayFailOver: false } as const;

function onPrimary(
  primary: Partial<KnownPrimary>,
  secondary: Partial<KnownSecondary>,
  rest: Partial<PairFacts> = {},
) {
  const sides = { primary: { ...PRIMARY, ...primary }, secondary: { ...SECONDARY, ...secondary } };
  const facts = { vm: 'web', here: 'primary', pulse: 'up', termTrouble: '' } as const;
  return verdictOfFacts({ ...facts, ...sides, ...rest });
}

function onSecondary(
  primary: Partial<KnownPrimary>,
  secondary: Partial<KnownSecondary>,
  rest: Partial<PairFacts> = {},
) {
  const here = { knowledge: 'here', ageMs: 0, ...secondary } as const;
  const there = { knowledge: 'fresh', ageMs: 200, ...primary } as const;
  return onPrimary(there, here, { here: 'secondary', ...rest });
}

describe('a primary that runs alone', () => {
  const ALONE = { state: 'alone' } as const;

  test('is told all steps, with the option of its engine', () => {
    const restart = 'On host beta, restart the daemon, then its QEMU with ';
    const protect = '; then, on host alpha, run: gannet protect web';
    const dead = { state: 'diverged', qemu: 'lost', mayFailOver: false } as const;
    expect(onPrimary(ALONE, dead).remedy).toBe(`${restart}-incoming${protect}`);
    expect(onPrimary(ALONE, dead, { engine: 'vsmr' }).remedy).toBe(`${restart}-S${protect}`);
  });

  test('is told what is left to do, once the secondary is started again', () => {
    expect(onPrimary(ALONE, { ...NEW, qemu: 'awaited' }).remedy).toBe(
      'On host beta, start the QEMU with -incoming; then, on host alpha, run: gannet protect web',
    );
    for (const view of [onPrimary, onSecondary]) {
      expect(view(ALONE, NEW).remedy).toBe('On host alpha, run: gannet protect web');
    }
  });

  test('is told to look at the network first, if nothing is heard', () => {
    const there = { knowledge: 'stale', ageMs: 9000 } as const;
    expect(onPrimary(ALONE, there, { pulse: 'lost' }).remedy).toMatch(
      /^Check host beta, and the network or tunnel to it\. On host beta, restart/,
    );
  });
});

test.each(['diverged', 'seeding', 'protected'] as const)(
  'after a detach, a secondary that is %s is no trouble, with or without its QEMU',
  (state) => {
    for (const qemu of ['ready', 'lost'] as const) {
      for (const view of [onPrimary, onSecondary]) {
        const old = { state, qemu, link: 'lost', mayFailOver: false } as const;
        expect(view({ state: 'unprotected', isDetached: true }, old)).toMatchObject({
          ...{ code: 'unprotected', level: 'idle', guest: 'primary' },
          headline: 'Not protected: an operator has ended the protection',
        });
      }
    }
  },
);

test('a replica that has diverged without a detach stays bad', () => {
  const old = { state: 'diverged', link: 'lost', mayFailOver: false } as const;
  expect(onPrimary({ state: 'unprotected' }, old)).toMatchObject({
    code: 'diverged',
    level: 'bad',
  });
});

describe('while protect runs', () => {
  const RUNS = { state: 'protecting', stage: 'check' } as const;

  test('both sides say that it waits for a QEMU, and which', () => {
    for (const view of [onPrimary, onSecondary]) {
      expect(view(RUNS, { ...NEW, qemu: 'awaited' })).toMatchObject({
        headline: 'Setting up protection: it waits for the QEMU on host beta',
        remedy: 'Start the QEMU on host beta with -incoming.',
      });
    }
  });

  test('the secondary receives a copy once there is a link for it', () => {
    expect(onSecondary(RUNS, NEW).headline).toBe('Being set up as secondary');
    expect(onSecondary(RUNS, { ...NEW, link: 'whole' }).headline).toBe(
      'Receiving the first copy of the disks',
    );
  });
});

test('before protect, a QEMU that is missing is the first thing to start', () => {
  expect(onPrimary({ state: 'unprotected' }, { ...NEW, qemu: 'awaited' }).remedy).toBe(
    'Start the QEMU on host beta with -incoming. ' +
      'On host alpha, run: gannet check web; then: gannet protect web',
  );
});

test('a daemon that has just begun is no alarm; one that can’t ask its QEMU is', () => {
  const begins = { state: 'unknown', qemu: 'awaited' } as const;
  const fresh = { ...NEW, qemu: 'awaited' } as const;
  expect(onSecondary(begins, fresh)).toMatchObject({ code: 'awaits-qemu', level: 'idle' });
  const taken = { ...begins, trouble: 'another client has the socket' };
  expect(onSecondary(taken, fresh)).toMatchObject({ code: 'cannot-ask', level: 'bad' });
});

describe('a secondary that hears nothing', () => {
  const GONE = { knowledge: 'stale', ageMs: 26_000 } as const;
  const LOST = { pulse: 'lost' } as const;
  const waiting = (guest: 'runs' | 'stopped', hardSeconds: number | null) =>
    onSecondary(GONE, { link: 'lost', waiting: { guest, hardSeconds } }, LOST);

  test('is no less bad for having lost the link as well', () => {
    expect(onSecondary(GONE, {}, LOST).level).toBe('bad');
    expect(waiting('runs', 14)).toMatchObject({ code: 'peer-silent', level: 'bad' });
    expect(waiting('runs', 14).headline).toMatch(/^The primary is lost, its daemon and its link: /);
  });

  test('says what is lost, and by when', () => {
    const undone = 'What was written since the last checkpoint, 1.0 s ago, is undone.';
    expect(waiting('runs', 14).remedy).toContain(
      `${undone} The memory here lasts for about 14 s; then the guest is stopped until a failover.`,
    );
    expect(waiting('stopped', 0).remedy).toContain(
      `${undone} The memory here is full: the guest stands still until then.`,
    );
    expect(waiting('runs', null).remedy).toMatch(/is undone\.$/);
  });

  test('says that the failover wants a proof, unless a fence gives one', () => {
    const refused = /asks for --force: make sure first that the primary’s QEMU does not run\./;
    expect(onSecondary(GONE, {}, LOST).remedy).toMatch(refused);
    expect(onSecondary(GONE, { canFence: true }, LOST).remedy).not.toMatch(/--force/);
  });
});
