import { describe, expect, it } from '@jest/globals';
import { Arrivals } from '../../src/disk/arrivals.js';

describe('arrivals', () => {
  it('are noted in what is watched only, byte by byte', () => {
    const arrivals = new Arrivals();
    arrivals.note(0, 1000);
    arrivals.watch([
      [100, 200],
      [300, 400],
    ]);
    arrivals.note(0, 50);
    arrivals.note(150, 200);
    expect(arrivals.within(0, 1000)).toEqual([
      [150, 200],
      [300, 350],
    ]);
    expect(arrivals.within(160, 10)).toEqual([[160, 170]]);
    expect(arrivals.missing(100, 100)).toEqual([[100, 150]]);
    expect(arrivals.missing(300, 100)).toEqual([[350, 400]]);
    expect(arrivals.missing(150, 50)).toEqual([]);
  });

  it('are forgotten when something else is watched', () => {
    const arrivals = new Arrivals();
    arrivals.watch([[0, 100]]);
    arrivals.note(0, 100);
    arrivals.watch([[0, 100]]);
    expect(arrivals.within(0, 100)).toEqual([]);
    expect(arrivals.missing(0, 100)).toEqual([[0, 100]]);
  });

  it('are known of a range only if all of it is watched', () => {
    const arrivals = new Arrivals();
    arrivals.watch([[0, 100]]);
    expect(arrivals.isWatched(0, 100)).toBe(true);
    expect(arrivals.isWatched(0, 101)).toBe(false);
    expect(arrivals.isWatched(100, 1)).toBe(false);
  });
});
