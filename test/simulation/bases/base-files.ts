// The bases of a run: what they are, what is in them, and what has to be.

import type { Random } from '@gannet/test-support/random.js';
import type { SimulatedDisk } from '../disk.js';
import { Violation } from '../guest.js';
import type { BaseKind, Plan } from './plan.js';
import { Sparse } from './sparse.js';
import type { StorageHost } from './storage-host.js';

const FULL_BYTES = 9 * 2 ** 30;
const RAW_BYTES = 6 * 4096;
/** What is zeroed at once; an image of unknown contents is written for each byte of it. */
const ZERO_BYTES = 6 * 2 ** 30;

export interface Base {
  readonly name: string;
  readonly base: string;
  readonly format: 'raw' | 'qcow2';
  readonly sizeBytes: number;
  readonly kind: BaseKind;
}

export class BaseFiles {
  readonly all: readonly Base[];
  /** How often a huge disk may still be zeroed to its end: its pieces are many. */
  #wholeZeros: number;

  constructor(
    { bases, hugeBytes, isExtended }: Plan,
    private readonly random: Random,
    private readonly disk: SimulatedDisk,
    private readonly host: StorageHost,
  ) {
    this.#wholeZeros = isExtended ? 2 : 0;
    this.all = bases.map((kind, at) => {
      const sizeBytes = { huge: hugeBytes, full: FULL_BYTES, raw: RAW_BYTES }[kind];
      const format = kind === 'raw' ? 'raw' : 'qcow2';
      return { name: `d${at}`, base: `/sim/d${at}`, format, sizeBytes, kind };
    });
  }

  /** Old images are there, with something in them. */
  make(): void {
    for (const { base, kind, sizeBytes } of this.all) {
      if (kind !== 'full') continue;
      const contents = new Sparse();
      for (const at of [0, sizeBytes / 2, sizeBytes - 4096]) {
        contents.write(at, this.random.bytes(4096));
      }
      this.host.addImage(base, sizeBytes, contents);
    }
  }

  /** How much a guest may zero at once. */
  longestZero(disk: number): number {
    const { kind = 'raw', sizeBytes = 0 } = this.all[disk] ?? {};
    // NBD's server takes it gigabyte by gigabyte.
    if (kind === 'huge' && this.#wholeZeros > 0 && this.random.chance(0.2)) {
      this.#wholeZeros--;
      return sizeBytes;
    }
    return Math.min(sizeBytes, ZERO_BYTES);
  }

  /** What another program finds in a base. */
  contents(disk: number): Sparse {
    const { base = '', kind } = this.all[disk] ?? {};
    if (kind !== 'raw') return this.host.images.get(base)?.now ?? new Sparse();
    const contents = new Sparse();
    contents.write(0, this.disk.contents(base) ?? Buffer.alloc(0));
    return contents;
  }

  are(disks: readonly Sparse[] | undefined): boolean {
    return this.all.every((_, at) => disks?.[at]?.difference(this.contents(at)) === undefined);
  }

  /** @throws Violation unless the bases are the guest's disks */
  expect(disks: readonly Sparse[]): void {
    for (const [disk, expected] of disks.entries()) {
      const at = expected.difference(this.contents(disk));
      if (at === undefined) continue;
      throw new Violation('I3 failover', `after the move, disk ${disk} is another one at ${at}`);
    }
  }
}
