import { describe, expect, test } from '@jest/globals';
import {
  letGoStep,
  type LetGoStep,
  type LetGoView,
} from '../../../src/daemon/arbitration/may-let-go.js';
import { record } from '../../support/records.js';

const VIEW: LetGoView = {
  ...{ own: record('leaving', 5), hasYielded: false, isHeard: false, wasTold: true },
  ...{ fence: 'ready', isForced: false, mustTell: false, isHeld: false },
};
const step = (change: Partial<LetGoView>): LetGoStep => letGoStep({ ...VIEW, ...change });

const BOOLEANS = [false, true];
const FENCES = ['none', 'ready', 'failed', 'succeeded'] as const;
const WORDS = ['none', 'protected', 'leaving', 'alone', 'taken-over', 'outdated'] as const;

/** Every combination of what can be known. */
const ALL: LetGoView[] = WORDS.flatMap((word) =>
  FENCES.flatMap((fence) =>
    Array.from({ length: 128 }, (_, bits) => ({
      own: record(word, 5, { mustProve: (bits & 64) > 0 }),
      ...{ fence, hasYielded: (bits & 1) > 0, isHeard: (bits & 2) > 0 },
      ...{ wasTold: (bits & 4) > 0, isForced: (bits & 8) > 0 },
      ...{ mustTell: (bits & 16) > 0, isHeld: (bits & 32) > 0 },
    })),
  ),
);

describe('a primary that goes on alone', () => {
  test('writes a new term first, then tells, then fences', () => {
    expect(step({ own: record('protected', 4), wasTold: false })).toEqual({ kind: 'raise' });
    expect(step({ wasTold: false })).toEqual({ kind: 'tell' });
    expect(step({})).toEqual({ kind: 'fence' });
    expect(step({ fence: 'succeeded' })).toEqual({ kind: 'go', evidence: 'fence' });
    expect(step({ fence: 'failed' })).toEqual({ kind: 'refuse', why: 'not-fenced' });
  });

  test.each(BOOLEANS)(
    'needs nothing else once the secondary has yielded: forced %s',
    (isForced) => {
      const own = record('protected', 4);
      expect(step({ own, hasYielded: true, isForced })).toEqual({ kind: 'go', evidence: 'word' });
    },
  );

  test('never goes without evidence, but where it has no fence and promised nothing', () => {
    for (const view of ALL) {
      const { kind, ...rest } = letGoStep(view);
      if (kind !== 'go') continue;
      const { evidence } = rest as { evidence: string | null };
      expect(view.own.word).not.toBe('outdated');
      if (evidence === 'word') expect(view.hasYielded).toBe(true);
      else expect(view.own.word).toBe('leaving');
      if (evidence === 'fence') expect(view.fence).toBe('succeeded');
      if (evidence === 'operator') expect(view.isForced).toBe(true);
      if (evidence !== null) continue;
      expect(view).toMatchObject({ fence: 'none', isHeld: false, own: { mustProve: false } });
    }
  });

  test('never fences where it has to tell, before it tried to, or when it is outdated', () => {
    for (const view of ALL) {
      if (letGoStep(view).kind !== 'fence') continue;
      expect(view).toMatchObject({ mustTell: false, wasTold: true, fence: 'ready', isHeld: false });
      expect(view.own.word).toBe('leaving');
    }
  });

  test('is bound by what it promised though the fence is gone', () => {
    const own = record('leaving', 5, { mustProve: true });
    expect(step({ own, fence: 'none' })).toEqual({ kind: 'refuse', why: 'promised' });
    expect(step({ own, fence: 'none', isForced: true })).toMatchObject({ kind: 'go' });
    expect(step({ own, fence: 'none', hasYielded: true })).toMatchObject({ kind: 'go' });
  });

  test('changes nothing where a detach can tell nobody', () => {
    const own = record('protected', 4);
    const why = { kind: 'refuse', why: 'not-told' };
    expect(step({ own, wasTold: false, mustTell: true })).toEqual(why);
    expect(step({ own, wasTold: false, mustTell: true, isForced: true })).toEqual({
      kind: 'raise',
    });
  });

  test('does not release a held guest on its own word', () => {
    const why = { kind: 'refuse', why: 'not-told' };
    expect(step({ fence: 'none', isHeld: true })).toEqual(why);
    expect(step({ fence: 'none' })).toEqual({ kind: 'go', evidence: null });
    expect(step({ fence: 'ready', isHeld: true })).toEqual(why);
    expect(step({ fence: 'succeeded', isHeld: true })).toEqual(why);
  });

  test('releases a held guest when the arbiter says that the VM is granted to nobody else', () => {
    const asked = { isHeld: true, evidence: 'arbiter' } as const;
    expect(step({ ...asked, fence: 'ready' })).toEqual({ kind: 'fence' });
    expect(step({ ...asked, fence: 'succeeded' })).toEqual({ kind: 'go', evidence: 'arbiter' });
    expect(step({ ...asked, fence: 'failed' })).toEqual({ kind: 'refuse', why: 'not-fenced' });
    expect(step({ ...asked, fence: 'none' })).toEqual({ kind: 'refuse', why: 'not-told' });
    expect(step({ ...asked, mustTell: true })).toEqual({ kind: 'refuse', why: 'not-told' });
  });

  test('is refused once the other side has the newer copy, even by force', () => {
    const own = record('outdated', 5);
    expect(step({ own, isForced: true })).toEqual({ kind: 'refuse', why: 'outdated' });
  });
});
