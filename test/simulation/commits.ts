// What the primary had on its disks at each commit: what the bases alone must be once they are said
// to hold the last one.

import type { StateRecord } from '@gannet/replicator';
import type { SimulatedDisk } from './disk.js';
import { Violation } from './guest.js';

export class Commits {
  readonly #disks = new Map<number, readonly Buffer[]>();

  constructor(
    private readonly disk: SimulatedDisk,
    private readonly bases: readonly string[],
  ) {}

  /** @param disks of the primary, in the order of the bases */
  add(epoch: number, disks: readonly Buffer[]): void {
    this.#disks.set(epoch, disks);
  }

  /** The epoch that the bases hold whole, as their state files have it. */
  get kept(): number | undefined {
    const records = this.bases.map((base) => {
      const text = this.disk.contents(`${base}.gannet`)?.toString('utf8');
      return JSON.parse(text ?? '{}') as Partial<StateRecord>;
    });
    // The journal was whole before the first state file said so: it counts, also where the others
    // could not be written.
    if (records.some(({ state }) => state === 'failed-over')) return undefined;
    return records.find(({ lastCommit }) => lastCommit)?.epoch;
  }

  /** @throws Violation unless the bases are the primary's disks at this commit, byte by byte */
  expectInBases(epoch: number): void {
    const commit = this.#disks.get(epoch);
    for (const [disk, base] of this.bases.entries()) {
      if (commit?.[disk] && this.disk.contents(base)?.equals(commit[disk])) continue;
      throw new Violation('I6 no mistaken base', `disk ${disk} is not that of commit ${epoch}`);
    }
  }
}
