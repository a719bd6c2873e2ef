/**
 * A thousand hosts, in short: the parts of test/simulation/scale, and one second of the simulation
 * beside what is known on paper.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Random } from '@gannet/test-support/random.js';
import { DEFAULTS, withSettings } from '../simulation/scale/assumptions.js';
import { chanceOf, downsPerYear, spareShare } from '../simulation/scale/closed-forms.js';
import { cellsOf, type Candidate, PLACEMENTS } from '../simulation/scale/placement.js';
import { fairRates } from '../simulation/scale/rates.js';
import { Timeline } from '../simulation/scale/timeline.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface ShortForm {
  readonly oneHost: { readonly copies: number; readonly beyondSeed: readonly number[] };
  readonly oneRack: { readonly down: number; readonly onPaper: number; readonly spread: number };
  readonly pairsBesideSpread: readonly { readonly hours: number; readonly most: number }[];
  readonly upgrade: { readonly hours: number; readonly seeds: number };
  readonly replays: readonly object[];
  readonly anyRack: string;
}

function inShort(): ShortForm {
  const argv = ['test/simulation/dist/scale/main.js', '--short'];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { cwd: ROOT, encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as ShortForm;
}

describe('shares of a link', () => {
  test('are equal, up to what each can use, and the rest goes to the others', () => {
    const flows = [
      { limit: 10, links: [0] },
      { limit: Infinity, links: [0] },
      { limit: Infinity, links: [0, 1] },
    ];
    expect(fairRates(flows, [100, 30])).toEqual([10, 60, 30]);
  });

  test('never add up to more than a link has, and nobody could have more', () => {
    const random = new Random(7);
    for (let round = 0; round < 200; round++) {
      const capacities = Array.from({ length: 6 }, () => 1 + random.below(100));
      const flows = Array.from({ length: 1 + random.below(12) }, () => {
        const links = [0, 1, 2, 3, 4, 5].filter(() => random.chance(0.4));
        return { limit: 1 + random.below(60), links };
      });
      const rates = fairRates(flows, capacities);
      const usedOf = (link: number): number =>
        flows.reduce(
          (sum, { links }, at) => sum + (links.includes(link) ? (rates[at] ?? 0) : 0),
          0,
        );
      const isFull = capacities.map((capacity, link) => usedOf(link) > capacity - 1e-6);
      capacities.forEach((capacity, link) => expect(usedOf(link)).toBeLessThan(capacity + 1e-6));
      flows.forEach(({ limit, links }, at) => {
        const isAtLimit = (rates[at] ?? 0) > limit - 1e-6;
        expect(isAtLimit || links.some((link) => isFull[link])).toBe(true);
      });
    }
  });
});

test('what is due happens in order, and in the order of asking at the same time', () => {
  const random = new Random(3);
  const time = new Timeline();
  const done: number[] = [];
  const times = Array.from({ length: 300 }, () => random.below(40));
  times.forEach((at, asked) => time.after(at, () => done.push(at * 1000 + asked)));
  while (time.next < Infinity) time.step();
  expect(done).toEqual(times.map((at, asked) => at * 1000 + asked).sort((a, b) => a - b));
  expect(time.now).toBe(Math.max(...times));
});

describe('a place for a second copy', () => {
  const host = (index: number, rest: Partial<Candidate> = {}): Candidate => {
    return { index, rack: index, freeGiB: 100, shared: 0, ...rest };
  };
  const need = { host: 0, rack: 0, neededGiB: 50 };

  test.each(['spread', 'tight', 'pairs'] as const)('%s: not beside the first', (name) => {
    const place = PLACEMENTS[name];
    expect(place(need, [host(0)])).toBeUndefined();
    expect(place(need, [host(1, { rack: 0 })])).toBeUndefined();
    expect(place(need, [host(1, { freeGiB: 49 })])).toBeUndefined();
    expect(place(need, [host(1)])?.index).toBe(1);
  });

  test('few others of the same host come first, then memory', () => {
    const hosts = [host(1, { shared: 1, freeGiB: 300 }), host(2), host(3, { freeGiB: 60 })];
    expect(PLACEMENTS.spread(need, hosts)?.index).toBe(2);
    expect(PLACEMENTS.tight(need, hosts)?.index).toBe(3);
  });

  test('of a pair is always the partner', () => {
    const hosts = [1, 2, 3, 4, 5].map((index) => host(index));
    expect(PLACEMENTS.pairs({ ...need, host: 4, rack: 4 }, hosts)?.index).toBe(5);
    expect(PLACEMENTS.pairs({ ...need, host: 5, rack: 5 }, hosts)?.index).toBe(4);
  });

  test.each([8, 16, 32])('a cell of %d has each host in another rack', (size) => {
    const cells = cellsOf(1000, 40, size, 'across');
    expect(cells.flat()).toHaveLength(1000);
    for (const racks of cells) {
      expect(racks.length).toBeLessThanOrEqual(size);
      expect(new Set(racks).size).toBe(racks.length);
    }
  });
});

test('on paper', () => {
  expect(spareShare(8)).toBeCloseTo(1 / 7);
  expect(spareShare(8, 2)).toBeCloseTo(1 / 3);
  // A host fails each year; 20 VMs are without a copy for an hour; the other host of each of them
  // fails in that hour with a chance of 1 in 8766.
  expect(downsPerYear(1, 1, 20, 1)).toBeCloseTo(20 / 8766);
  expect(chanceOf(0.01)).toBeCloseTo(0.00995);
  expect(withSettings(DEFAULTS, ['hosts=64']).hosts).toBe(64);
  expect(() => withSettings(DEFAULTS, ['host=64'])).toThrow('--set host=64: one of hosts,');
});

describe('in short', () => {
  const { oneHost, oneRack, pairsBesideSpread, upgrade, replays, anyRack } = inShort();

  test('a VM has no second copy for as long as its seed, the verdict and the pause take', () => {
    expect(oneHost.beyondSeed).toHaveLength(oneHost.copies);
    // At least the fence and the pause; at most what a primary needs to let a secondary go, too.
    expect(Math.min(...oneHost.beyondSeed)).toBeGreaterThan(3.4 + 10);
    expect(Math.max(...oneHost.beyondSeed)).toBeLessThan(7 + 10 + 1e-3);
  });

  test('a rack takes no VM with it, unless racks do not count', () => {
    expect(oneRack.spread).toBe(0);
    expect(Math.abs(oneRack.down - oneRack.onPaper)).toBeLessThan(0.05);
  });

  test('a placement that puts both copies into one rack is noticed', () => {
    expect(anyRack).toMatch(/^both copies of VM \d+ are in rack \d$/);
  });

  test('pairs wait for the repair, and one host takes over all', () => {
    const [pairs, spread] = pairsBesideSpread;
    expect(pairs?.most).toBeGreaterThanOrEqual(9);
    expect(pairs?.hours).toBeGreaterThan(DEFAULTS.repairHours);
    expect(spread?.most).toBeLessThanOrEqual(2);
    expect(spread?.hours).toBeLessThan(1);
  });

  test('an upgrade takes the reboots and at least the longest seed of each host', () => {
    expect(upgrade.hours).toBeGreaterThan((8 * DEFAULTS.rebootMinutes) / 60);
    expect(upgrade.seeds).toBeGreaterThan(20 * DEFAULTS.hosts * 0.9);
  });

  test('a seed replays exactly', () => {
    expect(replays[0]).toEqual(replays[1]);
  });
});
