// A guest with large disks and what it believes of them: the oracle. Everything that it writes can
// be told apart. It zeroes long ranges, as mkfs and fstrim do.

import type { Random } from '@gannet/test-support/random.js';
import { Violation } from '../guest.js';
import { type Peer, SIMPLE_MAX } from './peer.js';
import { Sparse } from './sparse.js';

export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** A change of a disk: zeros where there is no data. */
export interface Change extends Range {
  readonly data?: Buffer;
}

/** Where a disk's changes go. `done` gets an errno, 0 for none. */
export type Send = (change: Change, done: (errno: number) => void) => void;

interface Later extends Change {
  readonly disk: number;
}

const IN_FLIGHT_MAX = 6;
/** Places in which a guest is busy, and how far each goes. */
const PLACE_BYTES = 6 * 4096;
const PAGE_BYTES = 4096;

export interface SideOptions {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly longestZero: (disk: number) => number;
  /** An answer with an error came. */
  readonly onError: (what: string, errno: number) => void;
}

export class Side {
  isRunning = false;
  disks: Sparse[];
  /** By disk: ranges of requests under way, its own and those of a copy. */
  readonly busy: Range[][];
  /** Where it reads from; only the secondary reads over NBD. */
  readers: (Peer | undefined)[] = [];
  senders: (Send | undefined)[] = [];
  reads = 0;
  writes = 0;
  /** What a crash must not lose, once it has taken over. */
  durable: Sparse[] | undefined;
  #later: Later[] = [];
  #inFlight = 0;
  #isFlushing = false;
  #token = 0;
  readonly #places: readonly number[][];

  constructor(
    private readonly random: Random,
    private readonly options: SideOptions,
  ) {
    const { sizes } = options;
    this.disks = sizes.map(() => new Sparse());
    this.busy = sizes.map(() => []);
    this.#places = sizes.map((size) => placesOf(size));
  }

  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.#isFlushing;
  }

  /** One request, if it runs and has a free place. */
  act(): void {
    if (!this.isRunning || this.#inFlight >= IN_FLIGHT_MAX || this.#isFlushing) return;
    const disk = this.random.below(this.disks.length);
    const roll = this.random.next();
    if (roll < 0.08) return this.#flush();
    if (roll < 0.15) return this.#zeroes(disk);
    const range = this.#range(disk);
    if (!isFree(this.busy[disk] ?? [], range)) return;
    if (roll < 0.5 && this.readers[disk]) return this.read(disk, range);
    this.#change(disk, { ...range, data: this.#pattern(range.length) });
  }

  /** Reads and compares. */
  read(disk: number, range: Range): void {
    const reader = this.readers[disk];
    if (!reader?.isOpen) return;
    const expected = this.disks[disk]?.read(range.offset, range.length) ?? Buffer.alloc(0);
    this.reads++;
    const end = this.#begin(disk, range);
    reader.send({
      ...{ command: 'read', ...range },
      done: (errno, data) => {
        end();
        if (errno !== 0) return this.options.onError('a read', errno);
        const at = data.findIndex((byte, index) => byte !== expected[index]);
        if (at < 0 && data.length === expected.length) return;
        const [read, wanted] = [data, expected].map((all) => all.toString('hex', at, at + 8));
        throw new Violation(
          this.durable ? 'I3 failover' : 'I1 view',
          `${this.options.name} read disk ${disk} at ${range.offset}+${at}: ` +
            `${read} instead of ${wanted}`,
        );
      },
    });
  }

  /** All places where anything was written, and the last page. */
  readEverything(): void {
    for (const [disk, contents] of this.disks.entries()) {
      const last = (this.options.sizes[disk] ?? 0) - PAGE_BYTES;
      for (const offset of new Set([...contents.written, last])) {
        this.read(disk, { offset, length: PAGE_BYTES });
      }
    }
  }

  takeOver(): void {
    this.durable = this.disks.map((disk) => disk.clone());
    this.#later = [];
  }

  /** @throws Violation unless `found` has all that is durable, and nothing that was not written */
  checkSurvived(disk: number, found: Sparse): void {
    const durable = this.durable?.[disk] ?? new Sparse();
    const later = this.#later.filter((change) => change.disk === disk);
    const pages = later.flatMap(({ offset, data }) => (data ? [offset - (offset % 4096)] : []));
    for (const start of new Set([...found.written, ...durable.written, ...pages])) {
      const [is, was] = [found.read(start, PAGE_BYTES), durable.read(start, PAGE_BYTES)];
      for (let at = start; at < start + PAGE_BYTES; at++) {
        if (is[at - start] === was[at - start]) continue;
        const isLater = later.some(
          ({ offset, length, data }) =>
            at >= offset && at < offset + length && (data?.[at - offset] ?? 0) === is[at - start],
        );
        if (isLater) continue;
        const bytes = `${is[at - start] ?? 0} instead of ${was[at - start] ?? 0}`;
        throw new Violation('I4 durability', `after a crash, disk ${disk} at ${at}: ${bytes}`);
      }
    }
  }

  /** Only when nothing else is under way: what it covers is certain. */
  #flush(): void {
    const readers = this.readers.filter((reader) => reader?.isOpen === true);
    if (this.#inFlight > 0 || readers.length === 0) return;
    const snapshot = this.disks.map((disk) => disk.clone());
    let left = readers.length;
    this.#isFlushing = true;
    for (const reader of readers) {
      reader?.send({
        ...{ command: 'flush', offset: 0, length: 0 },
        done: (errno) => {
          left--;
          if (errno !== 0) this.options.onError('a flush', errno);
          if (left > 0) return;
          this.#isFlushing = false;
          if (errno !== 0 || this.durable === undefined) return;
          this.durable = snapshot;
          this.#later = [];
        },
      });
    }
  }

  #zeroes(disk: number): void {
    const size = this.options.sizes[disk] ?? 0;
    const offset = this.random.pick(this.#places[disk] ?? [0]);
    const most = Math.min(this.options.longestZero(disk), size - offset);
    const part = this.random.pick([1, 0.5, this.random.next()]);
    const length = Math.max(PAGE_BYTES, Math.floor((most * part) / PAGE_BYTES) * PAGE_BYTES);
    if (isFree(this.busy[disk] ?? [], { offset, length })) this.#change(disk, { offset, length });
  }

  #change(disk: number, change: Change): void {
    this.writes++;
    apply(this.disks[disk], change);
    if (this.durable) this.#later.push({ ...change, disk });
    const end = this.#begin(disk, change);
    const done = (errno: number): void => {
      end();
      if (errno !== 0) this.options.onError('a write', errno);
    };
    const send = this.senders[disk];
    if (send) send(change, done);
    else done(-1);
  }

  #begin(disk: number, range: Range): () => void {
    const busy = this.busy[disk] ?? [];
    busy.push(range);
    this.#inFlight++;
    return () => {
      busy.splice(busy.indexOf(range), 1);
      this.#inFlight--;
    };
  }

  #range(disk: number): Range {
    const size = this.options.sizes[disk] ?? 0;
    const grain = this.random.pick([512, 512, 4096, 1]);
    const place = this.random.pick(this.#places[disk] ?? [0]);
    const within = Math.floor(this.random.below(PLACE_BYTES) / grain) * grain;
    const offset = Math.min(size - grain, place + within);
    const longest = this.random.pick([512, 4096, 9000]);
    const length = Math.max(grain, Math.ceil((1 + this.random.below(longest)) / grain) * grain);
    return { offset, length: Math.min(size - offset, length) };
  }

  #pattern(length: number): Buffer {
    this.#token++;
    const data = Buffer.allocUnsafe(length);
    const salt = this.readers.length > 0 ? 0x80 : 0x00;
    for (let at = 0; at < length; at++) {
      data[at] = salt | (1 + ((Math.imul(this.#token + (at >> 2), 0x9e3779b1) >>> 25) % 127));
    }
    return data;
  }
}

export function apply(contents: Sparse | undefined, { offset, length, data }: Change): void {
  if (data) contents?.write(offset, data);
  else contents?.zero(offset, length);
}

export function isFree(busy: readonly Range[], { offset, length }: Range): boolean {
  return busy.every((one) => one.offset >= offset + length || one.offset + one.length <= offset);
}

/** A change as requests that fit the connection. `done` gets the first errno. */
export function sendTo(peer: Peer, change: Change, done: (errno: number) => void): void {
  const { offset, length, data } = change;
  if (data) {
    return peer.send({ command: 'write', offset, length, data, done: (errno) => done(errno) });
  }
  const most = peer.isExtended ? length : Math.min(length, SIMPLE_MAX);
  let left = Math.ceil(length / most);
  let failure = 0;
  for (let at = 0; at < length; at += most) {
    peer.send({
      ...{ command: 'writeZeroes', offset: offset + at, length: Math.min(most, length - at) },
      done: (errno) => {
        failure ||= errno;
        left--;
        if (left === 0) done(failure);
      },
    });
  }
}

/** The start, both sides of 4 GiB, the middle, the end; of a small disk only the start. */
function placesOf(size: number): number[] {
  const middle = Math.floor(size / 2 / PAGE_BYTES) * PAGE_BYTES;
  const all = [0, 2 ** 32 - 3 * PAGE_BYTES, middle, size - PLACE_BYTES];
  return [...new Set(all.map((at) => Math.max(0, Math.min(at, size - PLACE_BYTES))))];
}
