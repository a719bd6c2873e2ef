// What a guest has done to its disks, and whether a disk that came out of a crash can be what is
// left of it.

import type { Random } from '@gannet/test-support/random.js';

export const PAGE_BYTES = 4096;

export interface Write {
  readonly disk: number;
  readonly offset: number;
  readonly length: number;
  readonly isZero: boolean;
  /** Tells its bytes from those of all others. */
  readonly id: number;
  /**
   * For each disk: how many of its writes had been answered, without a gap, when this one was sent.
   */
  readonly seen: readonly number[];
}

export function contentsOf({ length, isZero, id }: Write): Buffer {
  const bytes = Buffer.alloc(length);
  if (isZero) return bytes;
  for (let at = 0; at < length; at++)
    bytes[at] = 1 + ((Math.imul(id, 0x9e3779b1) >>> (at % 24)) % 255);
  return bytes;
}

/**
 * One disk: what it held when the secondary took over, and every write since, in the order of the
 * wire.
 */
export class DiskHistory {
  readonly writes: Write[] = [];
  /** This many of them have been answered, without a gap. */
  answered = 0;
  /** This many must be there after a crash: a flush, or a write with FUA, has been answered. */
  durable = 0;
  readonly #isAnswered: boolean[] = [];

  constructor(readonly start: Buffer) {}

  wasAnswered(index: number): void {
    this.#isAnswered[index] = true;
    while (this.#isAnswered[this.answered]) this.answered++;
  }

  /**
   * After a crash the disk must be what the first n writes made of it, for one n: nothing that was
   * durable is missing, and no write is there without all that came before it.
   *
   * @returns each such n; none where the image is torn, or lacks what was durable
   */
  cutsOf(found: Buffer): number[] {
    const model = Buffer.from(this.start);
    for (const write of this.writes.slice(0, this.durable)) apply(model, write);
    const wrong = new Set<number>();
    const compare = (page: number): void => {
      const [from, to] = [page * PAGE_BYTES, (page + 1) * PAGE_BYTES];
      if (model.compare(found, from, to, from, to) === 0) wrong.delete(page);
      else wrong.add(page);
    };
    for (let page = 0; page < model.length / PAGE_BYTES; page++) compare(page);
    const cuts = wrong.size === 0 ? [this.durable] : [];
    for (let index = this.durable; index < this.writes.length; index++) {
      const write = this.writes[index] as Write;
      apply(model, write);
      const last = Math.floor((write.offset + write.length - 1) / PAGE_BYTES);
      for (let page = Math.floor(write.offset / PAGE_BYTES); page <= last; page++) compare(page);
      if (wrong.size === 0) cuts.push(index + 1);
    }
    return cuts;
  }
}

export function apply(disk: Buffer, write: Write): void {
  contentsOf(write).copy(disk, write.offset);
}

/**
 * Whether no disk, cut so, has a write that was sent after another disk's write was answered which
 * is not there.
 */
export function isCausal(histories: readonly DiskHistory[], cuts: readonly number[]): boolean {
  return histories.every(({ writes }, disk) => {
    const last = writes[(cuts[disk] ?? 0) - 1];
    return (last?.seen ?? []).every((count, other) => (cuts[other] ?? 0) >= count);
  });
}

let lastId = 0;

export function randomWrite(random: Random, disk: number, sizeBytes: number): Omit<Write, 'seen'> {
  const grain = random.pick([PAGE_BYTES, PAGE_BYTES, PAGE_BYTES, 512, 1]);
  const longest = random.pick([PAGE_BYTES, 4 * PAGE_BYTES, 16 * PAGE_BYTES]);
  const offset = Math.floor(random.below(sizeBytes) / grain) * grain;
  const wanted = Math.ceil((1 + random.below(longest)) / grain) * grain;
  const length = Math.min(wanted, sizeBytes - offset);
  return { disk, offset, length, isZero: random.chance(0.1), id: ++lastId };
}
