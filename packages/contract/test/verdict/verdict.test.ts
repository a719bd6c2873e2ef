import { describe, expect, test } from '@jest/globals';
import {
  hasTakenOver,
  PRIMARY_STATES,
  PULSES,
  REPLICA_LINKS,
  SECONDARY_STATES,
  VM_STATES,
} from '../../src/states.js';
import type {
  Knowledge,
  PairFacts,
  KnownPrimary,
  KnownSecondary,
} from '../../src/verdict/pair-facts.js';
import { verdictOfFacts } from '../../src/verdict/verdict.js';
import { VERDICTS } from '../../src/verdict/verdict-table.js';

const PRIMARY: KnownPrimary = {
  ...{ knowledge: 'here', ageMs: 0, host: 'alpha', qemu: 'ready', trouble: '' },
  ...{ state: 'protected', stage: '', standstill: '', movedTo: '' },
};
const WRITES = { termTrouble: '' };
/** Of a primary that was never heard. */
const NOTHING = {
  host: '',
  qemu: 'unknown',
  state: 'unknown',
  standstill: '',
  movedTo: '',
} as const;
const SECONDARY: KnownSecondary = {
  ...{ knowledge: 'fresh', ageMs: 200, host: 'beta', qemu: 'ready', trouble: '' },
  ...{
    state: 'protected',
    isOutdated: false,
    reason: '',
    link: 'whole',
    linkLoss: '',
    baseTrouble: '',
  },
  ...{ mayFailOver: true, commitAgeMs: 1000 },
};

interface Pair {
  readonly primary: KnownPrimary;
  readonly secondary: KnownSecondary;
}

const isKnown = (state: KnownSecondary['state']): boolean =>
  state !== 'unknown' && hasTakenOver(state);

/** Every combination of what the two sides can be. */
function* pairs(): Generator<Pair> {
  for (const state of PRIMARY_STATES)
    for (const qemu of VM_STATES)
      for (const secondaryState of [...SECONDARY_STATES, 'unknown'] as const)
        for (const secondaryQemu of VM_STATES)
          for (const link of REPLICA_LINKS)
            for (const mayFailOver of secondaryState === 'protected' ? [true, false] : [false])
              for (const baseTrouble of ['', 'no space'])
                for (const isOutdated of isKnown(secondaryState) ? [false, true] : [false])
                  for (const movedTo of state === 'yielding' ? ['', 'beta'] : [''])
                    yield {
                      primary: { ...PRIMARY, state, qemu, movedTo },
                      secondary: {
                        ...SECONDARY,
                        ...{ state: secondaryState, qemu: secondaryQemu },
                        ...{ link, mayFailOver, baseTrouble, isOutdated },
                      },
                    };
}

/** As each of the two daemons knows a pair, from everything heard to nothing. */
function* views(pair: Pair, termTrouble = ''): Generator<PairFacts> {
  for (const here of ['primary', 'secondary'] as const)
    for (const pulse of PULSES) {
      const isHeard = pulse === 'up' || pulse === 'late';
      const isLost = pulse === 'lost';
      const knowable = isHeard ? ['fresh'] : isLost ? ['stale', 'never'] : ['never'];
      for (const there of knowable as Knowledge[]) {
        const knowledge = (side: string): Knowledge => (side === here ? 'here' : there);
        const { primary, secondary } = pair;
        yield {
          ...{ vm: 'web', here, pulse, termTrouble },
          primary:
            here === 'secondary' && there === 'never'
              ? { ...primary, ...NOTHING, knowledge: there }
              : { ...primary, knowledge: knowledge('primary') },
          secondary:
            here === 'primary' && there === 'never'
              ? {
                  ...secondary,
                  ...{ knowledge: there, host: '', qemu: 'unknown', state: 'unknown' },
                  ...{ link: 'none', mayFailOver: false, baseTrouble: '', commitAgeMs: undefined },
                  isOutdated: false,
                }
              : { ...secondary, knowledge: knowledge('secondary') },
        };
      }
    }
}

const ALL = [...pairs()].flatMap((pair) => [
  ...views(pair),
  ...views({ ...pair, primary: { ...pair.primary, standstill: 'a write failed' } }),
  ...views(pair, 'the term file is on a full disk'),
]);
const text = (facts: PairFacts): string => {
  const { headline, remedy } = verdictOfFacts(facts);
  return `${headline}\n${remedy}`;
};
const failing = (isWrong: (facts: PairFacts) => boolean): object | undefined => {
  const facts = ALL.find(isWrong);
  return facts && { facts, verdict: verdictOfFacts(facts) };
};

describe('the verdict on a VM', () => {
  test('is good only if the guest runs, and the other side may take over', () => {
    const wrong = failing((facts) => {
      const { here, primary, secondary, pulse } = facts;
      const isWell =
        secondary.state === 'protected' &&
        ['ready', 'awaited'].includes(secondary.qemu) &&
        secondary.link === 'whole' &&
        secondary.mayFailOver &&
        secondary.baseTrouble === '' &&
        (pulse === 'up' || pulse === 'none') &&
        primary.standstill === '' &&
        facts.termTrouble === '' &&
        (primary.state === 'protected' || here === 'secondary') &&
        (primary.qemu === 'ready' || primary.qemu === 'unknown');
      return verdictOfFacts(facts).level === 'good' && !isWell;
    });
    expect(wrong).toBeUndefined();
    const seen = { vm: 'web', here: 'primary', pulse: 'up' } as const;
    const well = { ...seen, ...WRITES, primary: PRIMARY };
    expect(verdictOfFacts({ ...well, secondary: SECONDARY })).toMatchObject({ code: 'protected' });
  });

  test('never advises a failover after one, nor onto a replica that can’t take over', () => {
    const wrong = failing((facts) => {
      if (!text(facts).includes('gannet failover')) return false;
      // It is the primary that goes on then, by force.
      if (['held', 'handing-over'].includes(verdictOfFacts(facts).code)) return false;
      const { state, knowledge } = facts.secondary;
      return hasTakenOver(state) || state === 'diverged' || knowledge === 'never';
    });
    expect(wrong).toBeUndefined();
  });

  test('advises a failover where the primary has ended and the secondary is fit', () => {
    const wrong = failing((facts) => {
      const { primary, secondary } = facts;
      const isDown = primary.qemu === 'lost' && primary.state === 'protected';
      const isFit = secondary.state === 'protected' && secondary.mayFailOver;
      if (!isDown || !isFit) return false;
      const { level, guest, remedy } = verdictOfFacts(facts);
      return level !== 'bad' || guest !== 'nowhere' || !remedy.includes('gannet failover web');
    });
    expect(wrong).toBeUndefined();
  });

  test('says on which host to run every command that it advises', () => {
    const wrong = failing((facts) => {
      const { remedy } = verdictOfFacts(facts);
      const commands = remedy.match(/gannet [a-z]/g) ?? [];
      return (
        commands.length > 0 &&
        !/\bon (each host|host \w+|the (primary|secondary) host)/i.test(remedy)
      );
    });
    expect(wrong).toBeUndefined();
  });

  test('is bad whenever the guest runs nowhere, or twice', () => {
    const wrong = failing((facts) => {
      const { guest, level } = verdictOfFacts(facts);
      return (guest === 'both' || guest === 'nowhere') && !['bad', 'idle'].includes(level);
    });
    expect(wrong).toBeUndefined();
  });

  test('says what to do, unless it is well or goes on by itself', () => {
    const wrong = failing((facts) => {
      const { code, remedy } = verdictOfFacts(facts);
      return remedy === '' && !['protected', 'protecting', 'moving'].includes(code);
    });
    expect(wrong).toBeUndefined();
  });

  test('is the same from both daemons while they hear each other', () => {
    const wrong = [...pairs()].flatMap((pair) => {
      const [a, b] = [...views(pair)].filter(({ pulse }) => pulse === 'up').map(verdictOfFacts);
      return a && b && a.level !== b.level ? [{ pair, a, b }] : [];
    });
    expect(wrong).toEqual([]);
  });

  test('says how old it is when the other daemon does not answer', () => {
    const wrong = failing((facts) => {
      const { here, primary, secondary, pulse } = facts;
      const isStale = (here === 'primary' ? secondary : primary).knowledge === 'stale';
      return pulse === 'lost' && isStale && !/heard \d.* ago/.test(verdictOfFacts(facts).headline);
    });
    expect(wrong).toBeUndefined();
  });

  test('can be each one of the table', () => {
    // Only the former primary knows that it was moved; the other side calls it superseded.
    const primary = { ...PRIMARY, state: 'superseded', movedTo: 'beta' } as const;
    const moved = { vm: 'web', here: 'primary', pulse: 'up', primary, ...WRITES } as const;
    const all = [...ALL, { ...moved, secondary: { ...SECONDARY, state: 'retired' } } as const];
    expect([...new Set(all.map((facts) => verdictOfFacts(facts).code))].sort()).toEqual(
      Object.keys(VERDICTS).sort(),
    );
  });
});

test.each([
  { pulse: 'lost', link: 'lost' },
  { pulse: 'lost', link: 'none' },
  { pulse: 'lost', link: 'whole' },
] as const)('after a fence that failed, it advises what is not refused: %o', ({ pulse, link }) => {
  const primary = { ...PRIMARY, knowledge: 'stale', ageMs: 9000 } as const;
  const secondary = { ...SECONDARY, knowledge: 'here', ageMs: 0, link } as const;
  const facts = { vm: 'web', here: 'secondary', pulse, primary, ...WRITES } as const;
  const before = verdictOfFacts({ ...facts, secondary });
  expect(before.remedy).toContain('run: gannet failover web.');
  const after = verdictOfFacts({ ...facts, secondary: { ...secondary, fenceFailure: 'exit 1' } });
  expect(after.code).toBe(before.code);
  expect(after.remedy).toMatch(/FAILED: exit 1\. Make sure .* run: gannet failover web --force\./);
});

test.each(['failed-over', 'retired'] as const)(
  'a secondary that is %s and has to yield is not called the survivor, nor the newer copy',
  (state) => {
    for (const here of ['primary', 'secondary'] as const) {
      const primary = { ...PRIMARY, state: 'alone' as const };
      const secondary = { ...SECONDARY, state, isOutdated: true };
      const verdict = verdictOfFacts({
        vm: 'web',
        here,
        pulse: 'up',
        ...WRITES,
        primary,
        secondary,
      });
      expect(verdict).toMatchObject({ code: 'survivor-yields', level: 'bad', guest: 'primary' });
      expect(verdict.remedy).toBe('End the QEMU on host beta. Keep the primary.');
    }
  },
);
