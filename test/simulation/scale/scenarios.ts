// What is tried: the loss of a host, of a rack, years of losses, an upgrade of all hosts.

import { Random } from '@gannet/test-support/random.js';
import type { Assumptions } from './assumptions.js';
import { Cell } from './cell.js';
import { HOURS_IN_YEAR } from './closed-forms.js';
import { cellsOf, type Layout, type PlacementName } from './placement.js';

const HOUR = 3600;
const YEAR = HOURS_IN_YEAR * HOUR;

export interface Setting {
  readonly assumptions: Assumptions;
  readonly cellSize: number;
  readonly placement: PlacementName;
  readonly layout?: Layout;
  readonly mayShareRack?: boolean;
  readonly seed: number;
}

function racksOf({ assumptions, cellSize, layout = 'across' }: Setting): number[][] {
  return cellsOf(assumptions.hosts, assumptions.racks, cellSize, layout);
}

function cellOf(setting: Setting, racks: readonly number[], number: number): Cell {
  const random = new Random(Math.imul(setting.seed, 0x9e3779b1) ^ number);
  const { assumptions, placement, mayShareRack } = setting;
  return new Cell(assumptions, placement, racks, random, mayShareRack);
}

/** A cell of the fleet, with a life of its own: there may be more lives than cells. */
function lifeOf(setting: Setting, number: number): Cell {
  const cells = racksOf(setting);
  return cellOf(setting, cells[number % cells.length] ?? [], number);
}

export interface Loss {
  /** VMs without a second copy right after it, of the whole fleet. */
  readonly uncovered: number;
  /** Hours until all of them have one again, and until half of them have. */
  readonly hours: number;
  readonly hoursHalf: number;
  /** VM-hours without a second copy. */
  readonly vmHours: number;
  /** VMs that found no host with room before the lost one was back. */
  readonly unplaced: number;
  readonly mostTakenOver: number;
  readonly standstill: number;
  readonly memory: number;
  readonly disk: number;
  readonly network: number;
}

function lossOf(cell: Cell, repairSeconds: number): Loss {
  const { exposure, peaks } = cell;
  const lost = exposure.uncovered;
  cell.runUntil(repairSeconds, () => cell.isCovered);
  const unplaced = cell.waiting;
  cell.hosts.filter(({ isUp }) => !isUp).forEach(({ index }) => cell.restore(index));
  cell.runUntil(Infinity, () => cell.isCovered || cell.isIdle);
  const lengths = [...exposure.lengths].sort((one, other) => one - other);
  return {
    uncovered: lost,
    hours: (lengths.at(-1) ?? 0) / HOUR,
    hoursHalf: (lengths[Math.floor(lengths.length / 2)] ?? 0) / HOUR,
    vmHours: exposure.vmSeconds / HOUR,
    unplaced,
    mostTakenOver: Math.max(0, ...cell.mostTakenOver),
    standstill: Math.max(0, ...cell.standstills),
    memory: peaks.get('memory'),
    disk: peaks.get('disk'),
    network: Math.max(peaks.get('in'), peaks.get('out')),
  };
}

/** Hosts die at the same time, in one cell after another: of each cell, what it cost. */
export function hostLosses(setting: Setting, trials: number, atOnce = 1): Loss[] {
  return Array.from({ length: trials }, (_, trial) => hostLoss(setting, trial, atOnce));
}

function hostLoss(setting: Setting, trial: number, atOnce: number): Loss {
  const cell = lifeOf(setting, trial);
  cell.peaks.reset();
  const first = new Random(setting.seed + trial).below(cell.hosts.length);
  for (let at = 0; at < atOnce; at++) cell.lose((first + at) % cell.hosts.length);
  return lossOf(cell, setting.assumptions.repairHours * HOUR);
}

export interface RackLoss {
  readonly hosts: number;
  readonly downs: number;
  readonly uncovered: number;
  readonly hours: number;
  readonly unplaced: number;
  /** Cells that have lost their majority. */
  readonly withoutQuorum: number;
}

/** All hosts of one rack die at once. */
export function rackLoss(setting: Setting, rack: number): RackLoss {
  const result = { hosts: 0, downs: 0, uncovered: 0, hours: 0, unplaced: 0, withoutQuorum: 0 };
  racksOf(setting).forEach((racks, number) => {
    if (!racks.includes(rack)) return;
    const cell = cellOf(setting, racks, number);
    const lost = cell.hosts.filter((host) => host.rack === rack);
    for (const { index } of lost) cell.lose(index);
    result.hosts += lost.length;
    result.uncovered += cell.exposure.uncovered;
    if (!cell.hasQuorum) result.withoutQuorum++;
    const { hours, unplaced } = lossOf(cell, setting.assumptions.repairHours * HOUR);
    result.downs += cell.downs;
    result.hours = Math.max(result.hours, hours);
    result.unplaced += unplaced;
  });
  return result;
}

export interface Years {
  readonly hostYears: number;
  readonly losses: number;
  /** VM-hours without a second copy. */
  readonly vmHours: number;
  /** VMs that lost their last copy: as counted. */
  readonly downs: number;
  /** As they follow from the time without a second copy. */
  readonly expectedDowns: number;
  readonly meanMostTakenOver: number;
}

/** Hosts die at random, and are back after their repair, empty. */
export function years(setting: Setting, cells: number, length: number): Years {
  const { mtbfYears, repairHours } = setting.assumptions;
  const result = { hostYears: 0, losses: 0, vmHours: 0, downs: 0, expectedDowns: 0, most: 0 };
  for (let number = 0; number < cells; number++) {
    const cell = lifeOf(setting, number);
    const random = new Random(setting.seed + 7919 * number);
    const failLater = (index: number): void => {
      const lifetime = -Math.log(1 - random.next()) * mtbfYears * YEAR;
      cell.time.after(lifetime, () => {
        result.losses++;
        cell.lose(index);
        cell.time.after(repairHours * HOUR, () => {
          cell.restore(index);
          failLater(index);
        });
      });
    };
    for (const { index } of cell.hosts) failLater(index);
    cell.runUntil(length * YEAR);
    result.hostYears += cell.hosts.length * length;
    result.vmHours += cell.exposure.vmSeconds / HOUR;
    result.downs += cell.downs;
    result.most += cell.mostTakenOver.reduce((sum, one) => sum + one, 0);
  }
  const expectedDowns = result.vmHours / (mtbfYears * HOURS_IN_YEAR);
  return { ...result, expectedDowns, meanMostTakenOver: result.most / result.losses };
}

/**
 * The VMs of a host that is restarted run on elsewhere. Their new copies:
 *
 * - `elsewhere`: are made at once, on other hosts
 * - `wait`: are made when the host is back
 */
export type UpgradeWay = 'elsewhere' | 'wait';

export interface Upgrade {
  readonly hours: number;
  /** VM-hours without a second copy, of the whole fleet. */
  readonly vmHours: number;
  readonly seeds: number;
  readonly tebibytes: number;
  readonly mostUncovered: number;
}

/** All hosts are restarted, in each cell one after the other, in all cells at once. */
export function upgrade(setting: Setting, way: UpgradeWay, sampledCells: number): Upgrade {
  const { rebootMinutes, hosts } = setting.assumptions;
  const total = { hours: 0, vmHours: 0, seeds: 0, gib: 0, most: 0, hosts: 0 };
  for (let number = 0; number < sampledCells; number++) {
    const cell = lifeOf(setting, number);
    for (const { index } of cell.hosts) {
      cell.standby(index, way !== 'elsewhere');
      cell.runUntil(cell.time.now + rebootMinutes * 60);
      cell.restore(index);
      cell.runUntil(Infinity, () => cell.isCovered || cell.isIdle);
    }
    total.hours = Math.max(total.hours, cell.time.now / HOUR);
    total.vmHours += cell.exposure.vmSeconds / HOUR;
    total.seeds += cell.transfers.seeds;
    total.gib += cell.transfers.seedMib / 1024;
    total.most += cell.exposure.most;
    total.hosts += cell.hosts.length;
  }
  const scale = hosts / total.hosts;
  return {
    hours: total.hours,
    vmHours: total.vmHours * scale,
    seeds: Math.round(total.seeds * scale),
    tebibytes: (total.gib * scale) / 1024,
    mostUncovered: Math.round(total.most * scale),
  };
}

/** The least spare memory with which the loss of `atOnce` hosts leaves no VM without a place. */
export function spareNeeded(setting: Setting, trials: number, atOnce: number): number {
  const { assumptions } = setting;
  const demand = hostDemand(setting);
  const isEnough = (spare: number): boolean => {
    const hostMemoryGiB = demand * (1 + spare);
    const own = { ...setting, assumptions: { ...assumptions, hostMemoryGiB } };
    for (let trial = 0; trial < trials; trial++) {
      if (hostLoss(own, trial, atOnce).unplaced > 0) return false;
    }
    return true;
  };
  let [low, high] = [0, 0.64];
  while (high - low > 0.011) {
    const middle = (low + high) / 2;
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** What the VMs of the fullest cell take, for each of its hosts, in GiB. */
function hostDemand(setting: Setting): number {
  const cells = racksOf(setting);
  const roomy = { ...setting.assumptions, hostMemoryGiB: 1e6 };
  return Math.max(
    ...cells.slice(0, 8).map((racks, number) => {
      const { hosts } = cellOf({ ...setting, assumptions: roomy }, racks, number);
      return hosts.reduce((sum, { usedGiB }) => sum + usedGiB, 0) / hosts.length;
    }),
  );
}
