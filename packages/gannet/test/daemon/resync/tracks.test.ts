import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { firstWholeEpoch, Tracks } from '../../../src/daemon/resync/tracks.js';

const reasonOf = (choice: object): string => ('reason' in choice ? String(choice.reason) : '');

describe('the track that a base is brought up to date with', () => {
  test('is the latest that has all that the base lacks', () => {
    const tracks = new Tracks();
    const first = { id: 'a', replica: 'r', from: 1 };
    const second = { id: 'b', replica: 'r', from: 9 };
    tracks.begun(first);
    expect(tracks.choose({ replica: 'r', epoch: 1 })).toEqual({ track: first });
    expect(tracks.heard({ replica: 'r', epoch: 1 })).toBe(true);
    tracks.begun(second);
    expect(tracks.choose({ replica: 'r', epoch: 8 })).toEqual({ track: first });
    expect(tracks.choose({ replica: 'r', epoch: 9 })).toEqual({ track: second });
  });

  test('is replaced only once the bases hold an epoch that the next has all of', () => {
    const tracks = new Tracks();
    tracks.begun({ id: 'a', replica: 'r', from: 1 });
    tracks.heard({ replica: 'r', epoch: 3 });
    tracks.begun({ id: 'b', replica: 'r', from: 9 });
    expect(tracks.heard({ replica: 'r', epoch: 8 })).toBe(false);
    expect(tracks.ids).toEqual(['a', 'b']);
    expect(tracks.heard({ replica: 'other', epoch: 99 })).toBe(false);
    expect(tracks.heard({ replica: 'r', epoch: 9 })).toBe(true);
    expect(tracks.ids).toEqual(['b']);
  });

  test('is none for a base of another protection, an older one, or none; the reason says so', () => {
    const tracks = new Tracks();
    expect(reasonOf(tracks.choose(undefined))).toContain('has no base');
    expect(reasonOf(tracks.choose({ replica: 'r', epoch: 5 }))).toContain('was not recorded');
    tracks.begun({ id: 'a', replica: 'r', from: 9 });
    expect(reasonOf(tracks.choose({ replica: 'r', epoch: 5 }))).toContain('since epoch 9');
    expect(reasonOf(tracks.choose({ replica: 'x', epoch: 9 }))).toContain('another protection');
  });

  test('survives a second loss before the new bases have been heard of', () => {
    const tracks = new Tracks();
    const kept = { id: 'a', replica: 'r1', from: 4 };
    tracks.keep(kept);
    const next = { id: 'b', replica: 'r2', from: 1 };
    tracks.begun(next);
    expect(tracks.choose({ replica: 'r1', epoch: 7 })).toEqual({ track: kept });
    expect(tracks.choose({ replica: 'r2', epoch: 1 })).toEqual({ track: next });
  });
});

/**
 * The guest writes, bitmaps begin and are replaced, the secondary commits, one epoch behind the
 * primary at most, and its bases follow. Whatever the base lacks is in the chosen bitmap.
 */
describe('no write is missing, in any order of events', () => {
  const steps = fc.array(
    fc.constantFrom('write', 'stop', 'commit', 'durable', 'begin', 'asked', 'report', 'lose'),
    { minLength: 20, maxLength: 150 },
  );

  test('whenever the replica is lost', () => {
    fc.assert(
      fc.property(steps, (all) => expect(missing(all, firstWholeEpoch)).toEqual([])),
      { numRuns: 3000 },
    );
  });

  test('and a bitmap that is trusted one epoch too early is found out', () => {
    const tooEarly = (epoch: number): number => epoch + 1;
    const found = fc.check(
      fc.property(steps, (all) => missing(all, tooEarly).length === 0),
      { numRuns: 20_000 },
    );
    expect(found.failed).toBe(true);
  });
});

/** Writes that the base lacks and the chosen bitmap has not: by their numbers. */
function missing(steps: readonly string[], from: (epoch: number) => number): number[] {
  const tracks = new Tracks();
  const bitmaps = new Map<string, Set<number>>([['b0', new Set()]]);
  tracks.begun({ id: 'b0', replica: 'r', from: from(0) });
  /** The epoch that each write belongs to: the one that the primary has open. */
  const epochs: number[] = [];
  let [open, committed, durable, reported] = [1, 0, 0, 0];
  let asking: string | undefined;
  let begun = 0;
  for (const step of steps) {
    if (step === 'write') {
      for (const bitmap of bitmaps.values()) bitmap.add(epochs.length);
      epochs.push(open);
    }
    // With `vsmr` the guest runs on before the secondary has committed.
    if (step === 'stop' && open - committed < 2) open++;
    if (step === 'commit' && committed < open - 1) committed++;
    if (step === 'durable') durable = committed;
    if (step === 'begin' && asking === undefined && tracks.wantsNext) {
      asking = `b${++begun}`;
      bitmaps.set(asking, new Set());
    }
    if (step === 'asked' && asking !== undefined) {
      tracks.begun({ id: asking, replica: 'r', from: from(committed) });
      asking = undefined;
    }
    if (step === 'report' && durable > 0) {
      reported = durable;
      if (tracks.heard({ replica: 'r', epoch: reported })) {
        const kept = new Set([...tracks.ids, asking]);
        for (const id of bitmaps.keys()) if (!kept.has(id)) bitmaps.delete(id);
      }
    }
    if (step === 'lose' && durable > 0) {
      const choice = tracks.choose({ replica: 'r', epoch: durable });
      // Without one the disks are copied as a whole.
      if (!('track' in choice)) continue;
      const marked = bitmaps.get(choice.track.id) ?? new Set();
      const lacks = [...epochs.keys()].filter((at) => (epochs[at] ?? 0) > durable);
      const lost = lacks.filter((at) => !marked.has(at));
      if (lost.length > 0) return lost;
    }
  }
  return [];
}
