import { digestsOf } from '@gannet/replicator';
import { joined, judgeSuspect, touches } from './suspect.js';
import type { AskedReplica, Chunk, OwnDisk } from './verify-ports.js';

/** Nothing smaller is written by a guest. */
const SECTOR_BYTES = 512;
/** A chunk that is written in each of them is given up: what is written replaces what was wrong. */
const ROUNDS = 3;

export interface SettleOptions {
  readonly diskOf: (name: string) => OwnDisk;
  readonly replica: AskedReplica;
  /** Resolves when a checkpoint has been committed that began after this epoch's. */
  readonly checkpointAfter: (epoch: number) => Promise<void>;
  readonly isRepair: boolean;
  readonly signal: AbortSignal;
}

/** What came of some chunks that had differed. */
export interface Settled {
  /** Whole sectors, in order of their chunks. */
  readonly wrong: readonly (Chunk & { readonly isRepaired: boolean })[];
  /** Written in every round. */
  readonly busyBytes: number;
}

/** A chunk with sectors that differ, and what the primary's disk held. */
interface Doubtful {
  readonly chunk: Chunk;
  readonly data: Buffer;
  readonly digests: readonly string[];
  readonly sectors: readonly number[];
}

/** What a look at some chunks leads to. */
interface Looks {
  readonly doubtful: readonly Doubtful[];
  /** Chunks that have to be looked at from the beginning. */
  readonly inFlight: readonly Chunk[];
  readonly epoch: number;
}

/**
 * Decides about chunks that have differed: equal by now, changing all the time, or wrong. Nothing
 * is called wrong because a write is under way on one side, however long that takes; suspect.ts
 * has the table.
 */
export class SuspectSettler {
  constructor(private readonly options: SettleOptions) {}

  async settle(chunks: readonly Chunk[]): Promise<Settled> {
    const wrong: Settled['wrong'][number][] = [];
    let left = chunks;
    for (let round = 0; round < ROUNDS && left.length > 0; round++) {
      const looks = await this.#firstLook(left);
      const { again, found } = await this.#secondLook(looks);
      // A chunk may come again for another sector of it.
      wrong.push(...(await this.#repaired(found.flatMap((one) => newIn(one, wrong)))));
      left = [...new Set([...looks.inFlight, ...again])];
    }
    const isLate = (one: Chunk): number => chunks.findIndex((chunk) => contains(chunk, one));
    wrong.sort((a, b) => isLate(a) - isLate(b) || a.offset - b.offset);
    return { wrong, busyBytes: left.reduce((sum, { length }) => sum + length, 0) };
  }

  /** From here on what arrives in the chunks is noted, until the next call. */
  async #firstLook(chunks: readonly Chunk[]): Promise<Looks> {
    const { replica, checkpointAfter } = this.options;
    let epoch = await replica.watch(chunks);
    await checkpointAfter(epoch);
    const doubtful: Doubtful[] = [];
    const inFlight: Chunk[] = [];
    for (const chunk of chunks) {
      this.options.signal.throwIfAborted();
      const data = Buffer.allocUnsafe(chunk.length);
      // First the primary's disk: what is written to it later must not count as missing.
      await this.options.diskOf(chunk.disk).read(chunk.offset, data);
      const digests = await digestsOf(data, SECTOR_BYTES);
      const theirs = await replica.digests(chunk, SECTOR_BYTES);
      epoch = theirs.epoch;
      const sectors: number[] = [];
      let isInFlight = false;
      for (const [sector, digest] of digests.entries()) {
        const hasArrived = hasArrivedIn(theirs.arrived, chunk, sector);
        const isEqual = digest === theirs.digests[sector];
        const verdict = judgeSuspect('suspect', { isEqual, hasArrived });
        if (verdict === 'doubtful') sectors.push(sector);
        isInFlight ||= verdict === 'in flight';
      }
      if (isInFlight) inFlight.push(chunk);
      if (sectors.length > 0) doubtful.push({ chunk, data, digests, sectors });
    }
    return { doubtful, inFlight, epoch };
  }

  async #secondLook({ doubtful, epoch }: Looks): Promise<{ again: Chunk[]; found: Doubtful[] }> {
    if (doubtful.length === 0) return { again: [], found: [] };
    const { replica, checkpointAfter } = this.options;
    await checkpointAfter(epoch);
    const again: Chunk[] = [];
    const found: Doubtful[] = [];
    for (const one of doubtful) {
      const { chunk, digests } = one;
      const theirs = await replica.digests(chunk, SECTOR_BYTES);
      const verdictOf = (sector: number): string =>
        judgeSuspect('doubtful', {
          isEqual: digests[sector] === theirs.digests[sector],
          hasArrived: hasArrivedIn(theirs.arrived, chunk, sector),
        });
      const sectors = one.sectors.filter((sector) => verdictOf(sector) === 'wrong');
      if (sectors.length > 0) found.push({ ...one, sectors });
      if (one.sectors.some((sector) => verdictOf(sector) === 'in flight')) again.push(chunk);
    }
    return { again, found };
  }

  /**
   * Still watched, so what has arrived meanwhile is not overwritten. Then looks again, from the
   * beginning, whether the replica holds it.
   */
  async #repaired(found: readonly Doubtful[]): Promise<Settled['wrong']> {
    const { replica, isRepair } = this.options;
    const wrong = found.flatMap(runsOf);
    if (!isRepair || found.length === 0) {
      return wrong.map((run) => ({ ...run, isRepaired: false }));
    }
    for (const { chunk, data } of found) {
      for (const { disk, offset, length } of wrong.filter((run) => contains(chunk, run))) {
        const from = offset - chunk.offset;
        await replica.repair(disk, offset, data.subarray(from, from + length));
      }
    }
    const again = new SuspectSettler({ ...this.options, isRepair: false });
    const left = await again.settle(found.map(({ chunk }) => chunk));
    const isLeft = (run: Chunk): boolean => left.wrong.some((one) => overlaps(one, run));
    return wrong.map((run) => ({ ...run, isRepaired: !isLeft(run) }));
  }
}

function hasArrivedIn(
  arrived: readonly (readonly [number, number])[],
  { offset }: Chunk,
  sector: number,
): boolean {
  const from = offset + sector * SECTOR_BYTES;
  return touches(arrived, from, from + SECTOR_BYTES);
}

/** What was not found before. */
function newIn(one: Doubtful, known: readonly Chunk[]): Doubtful[] {
  const { disk, offset } = one.chunk;
  const sectors = one.sectors.filter((sector) => {
    const place = { disk, offset: offset + sector * SECTOR_BYTES, length: SECTOR_BYTES };
    return !known.some((run) => overlaps(run, place));
  });
  return sectors.length > 0 ? [{ ...one, sectors }] : [];
}

/** Neighbouring sectors as one range. */
function runsOf({ chunk, sectors }: Doubtful): Chunk[] {
  const { disk, offset, length } = chunk;
  const runs = sectors.map((sector): readonly [number, number] => [
    offset + sector * SECTOR_BYTES,
    offset + Math.min(length, (sector + 1) * SECTOR_BYTES),
  ]);
  return joined(runs).map(([from, to]) => ({ disk, offset: from, length: to - from }));
}

function contains(outer: Chunk, { disk, offset, length }: Chunk): boolean {
  const end = outer.offset + outer.length;
  return outer.disk === disk && outer.offset <= offset && offset + length <= end;
}

function overlaps(one: Chunk, other: Chunk): boolean {
  const isApart =
    one.offset + one.length <= other.offset || other.offset + other.length <= one.offset;
  return one.disk === other.disk && !isApart;
}
