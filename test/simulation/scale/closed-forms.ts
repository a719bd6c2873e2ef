// What can be worked out on paper: the simulation has to agree with it where it applies.

import { type Assumptions, meanOf } from './assumptions.js';

export const HOURS_IN_YEAR = 8766;

/**
 * Memory that a cell must have beyond what its VMs take, so that they fit on the hosts that are
 * left: as a share of what they take. For VMs that are small beside a host.
 */
export function spareShare(hosts: number, losses = 1): number {
  return losses / (hosts - losses);
}

/** What all VMs of a host, and the secondaries of as many others, take on average, in GiB. */
export function demandGiB({ vmsPerHost, bufferGiB }: Assumptions): number {
  return vmsPerHost * (3 * meanOf(({ memoryGiB }) => memoryGiB) + bufferGiB);
}

/** Copies that end with a host: the VMs that it ran, and as many secondaries of others. */
export function copiesOfHost({ vmsPerHost }: Assumptions): number {
  return 2 * vmsPerHost;
}

/**
 * VMs that lose their last copy, in a year: hosts fail independently of each other, and each that
 * fails leaves `copies` VMs with one copy for `hours`.
 */
export function downsPerYear(
  hosts: number,
  mtbfYears: number,
  copies: number,
  hours: number,
): number {
  return ((hosts / mtbfYears) * copies * hours) / (mtbfYears * HOURS_IN_YEAR);
}

/** The chance that it happens at all, if it happens so often on average. */
export function chanceOf(perYear: number): number {
  return 1 - Math.exp(-perYear);
}

/** Hours of a seed that nothing but its own limits slow down. */
export function seedHours(
  { seedRate, migrateRate, firstCheckpoint }: Assumptions,
  diskGiB: number,
  memoryGiB: number,
): number {
  const seconds = (diskGiB * 1024) / seedRate + (memoryGiB * 1024) / migrateRate + firstCheckpoint;
  return seconds / 3600;
}

/**
 * VMs with both copies in one rack, if racks do not count and each cell has `perRack` hosts in
 * each of its racks: the secondary is on any other host of the cell.
 */
export function shareInOneRack(cell: number, perRack: number): number {
  return (perRack - 1) / (cell - 1);
}

/** Monitors that run on each host in a second, if each copy is looked at every `seconds`. */
export function monitorsPerSecond(assumptions: Assumptions, seconds: number): number {
  return copiesOfHost(assumptions) / seconds;
}
