import type { BasisRecord } from '@gannet/contract';

/**
 * A bitmap on each disk of the primary. It has been recording since before the epoch `from` of this
 * replica began to be written, so it has all writes of that epoch and of every later one.
 */
export interface Track {
  readonly id: string;
  readonly replica: string;
  readonly from: number;
}

/** The track that has all that a base lacks, or why none has. */
export type TrackChoice = { readonly track: Track } | { readonly reason: string };

/**
 * Which bitmaps are kept, and which of them a base can be brought up to date with. Two at most:
 *
 *   base   has all that the replica's bases may lack by what the secondary said last
 *   next   began later, and takes the place of `base` once the secondary says that its bases hold
 *          an epoch that `next` has all of
 *
 * A bitmap may have more than is needed, never less. What a base lacks was written after the epoch
 * that it holds, so a track will do whose `from` is that epoch, or an earlier one.
 */
export class Tracks {
  #base: Track | undefined;
  #next: Track | undefined;

  /** Ids of all, which are kept in QEMU. */
  get ids(): string[] {
    return [this.#base, this.#next].flatMap((track) => track?.id ?? []);
  }

  /** Whether a later one would be of use: none has begun yet. */
  get wantsNext(): boolean {
    return this.#next === undefined;
  }

  /** A later one has begun. */
  begun(track: Track): void {
    this.#next = track;
  }

  /** The secondary says what its bases hold. @returns whether a bitmap is not needed any more */
  heard(basis: BasisRecord | undefined): boolean {
    const next = this.#next;
    if (!next || !covers(next, basis)) return false;
    this.#base = next;
    this.#next = undefined;
    return true;
  }

  /** The one to bring these bases up to date with: the later, the less is copied. */
  choose(basis: BasisRecord | undefined): TrackChoice {
    if (!basis) return { reason: 'the secondary has no base that could be brought up to date' };
    const tracks = [this.#next, this.#base].flatMap((track) => track ?? []);
    const track = tracks.find((one) => covers(one, basis));
    if (track) return { track };
    const oldest = tracks.at(-1);
    if (!oldest) return { reason: 'what the guest has written was not recorded in this QEMU' };
    const reason = tracks.some(({ replica }) => replica === basis.replica)
      ? `the base holds epoch ${basis.epoch}, and writes are recorded since epoch ${oldest.from}`
      : 'the base is that of another protection than the recorded writes';
    return { reason };
  }

  /** Nothing but this one is of use: another copy begins. */
  keep(track: Track | undefined): void {
    this.#base = track;
    this.#next = undefined;
  }
}

/**
 * From which epoch on a bitmap has all writes, if the replica's last commit was this one at some
 * time after the bitmap had begun. The next epoch may have been closed already: an engine that lets
 * the guest run on before the secondary has committed has two under way.
 */
export function firstWholeEpoch(committedEpoch: number): number {
  return committedEpoch === 0 ? 1 : committedEpoch + 2;
}

function covers({ replica, from }: Track, basis: BasisRecord | undefined): boolean {
  return basis !== undefined && basis.replica === replica && basis.epoch >= from;
}
