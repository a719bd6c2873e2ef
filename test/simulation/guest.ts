// A guest and what it believes of its disks: the oracle. Everything that it writes can be told
// apart, and whatever it reads is compared with what it wrote, or with what the other guest had at
// the checkpoint.

import type { NbdPeer } from './nbd-peer.js';
import type { Random } from '@gannet/test-support/random.js';

export class Violation extends Error {
  constructor(
    readonly invariant: string,
    message: string,
  ) {
    super(`${invariant}: ${message}`);
  }
}

interface Range {
  readonly disk: number;
  readonly offset: number;
  readonly length: number;
}

interface Write extends Range {
  readonly sequence: number;
  readonly data: Buffer;
  isDone: boolean;
}

const IN_FLIGHT_MAX = 6;

export interface GuestOptions {
  readonly name: string;
  readonly diskCount: number;
  readonly diskBytes: number;
  /** Whether it reads from its NBD disk: the secondary does, the primary reads its local one. */
  readonly reads: boolean;
  /** An answer with an error came; the guest decides no further. */
  readonly onError: (what: string, errno: number) => void;
}

export class Guest {
  isRunning = false;
  disks: Buffer[];
  peers: (NbdPeer | undefined)[];
  /** Writes that its replica may not have. */
  lostWrites = 0;
  /**
   * What it runs on may be older than its memory, and it is known: nobody takes over from here
   * (NOTES.md).
   */
  isInDoubt = false;
  /** Nobody hears of checkpoints any more: what has not taken over by now never will. */
  isDoomed = false;
  reads = 0;
  writes = 0;
  /** From its failover on: what a crash must not lose, and what was written since. */
  durable: Buffer[] | undefined;
  /** Which write each durable byte is of: an older one never comes back. */
  #durableOf: Uint32Array[] = [];
  #later: Write[] = [];
  #inFlight: Range[] = [];
  #flushes = 0;
  #unflushed = new Set<number>();
  #token = 0;

  constructor(
    private readonly random: Random,
    readonly options: GuestOptions,
  ) {
    this.disks = Array.from({ length: options.diskCount }, () => Buffer.alloc(options.diskBytes));
    this.peers = Array.from({ length: options.diskCount }, () => undefined);
  }

  get isIdle(): boolean {
    return this.#inFlight.length === 0 && this.#flushes === 0;
  }

  get isFlushed(): boolean {
    return this.#unflushed.size === 0;
  }

  /** One request, if it runs and has a free place. */
  act(): void {
    if (!this.isRunning || this.#inFlight.length >= IN_FLIGHT_MAX) return;
    const range = this.#range();
    if (!range) return;
    const roll = this.random.next();
    if (roll < 0.1) this.#flush(range.disk);
    else if (roll < 0.5 && this.options.reads) this.read(range);
    else this.write(range, this.random.chance(0.15));
  }

  /** What QEMU does to its disks when it stops the guest, once nothing is in flight. */
  flushAll(): void {
    for (const disk of this.#unflushed) this.#flush(disk);
  }

  write(range: Range, isZero = false): void {
    const { disk, offset, length } = range;
    const data = isZero ? Buffer.alloc(length) : this.#pattern(length);
    const fua = this.random.chance(0.05);
    data.copy(this.disks[disk] as Buffer, offset);
    this.writes++;
    this.#unflushed.add(disk);
    const write: Write = { ...range, data, sequence: this.writes, isDone: false };
    if (this.durable) this.#later.push(write);
    const peer = this.peers[disk];
    if (!peer?.isOpen) {
      this.lostWrites++;
      return;
    }
    this.#inFlight.push(range);
    peer.send({
      command: isZero ? 'writeZeroes' : 'write',
      ...(isZero ? {} : { data }),
      ...{ offset, length, fua },
      done: (errno) => {
        this.#inFlight.splice(this.#inFlight.indexOf(range), 1);
        write.isDone = true;
        if (errno !== 0) {
          this.lostWrites++;
          this.options.onError('a write', errno);
        } else if (fua) this.#nowDurable([write]);
      },
    });
  }

  /** Reads and compares. */
  read(range: Range): void {
    const { disk, offset, length } = range;
    const expected = Buffer.from((this.disks[disk] as Buffer).subarray(offset, offset + length));
    const peer = this.peers[disk];
    if (!peer?.isOpen) return;
    this.reads++;
    this.#inFlight.push(range);
    peer.send({
      command: 'read',
      ...{ offset, length },
      done: (errno, data) => {
        this.#inFlight.splice(this.#inFlight.indexOf(range), 1);
        if (errno !== 0) return this.options.onError('a read', errno);
        if (this.isInDoubt || this.isDoomed || data.equals(expected)) return;
        const at = data.findIndex((byte, index) => byte !== expected[index]);
        const [read, wanted] = [data, expected].map((all) => all.toString('hex', at, at + 8));
        throw new Violation(
          this.durable ? 'I3 failover' : 'I1 view',
          `${this.options.name} read disk ${disk} at ${offset}+${at} of ${length}: ` +
            `${read} instead of ${wanted}`,
        );
      },
    });
  }

  /** From here on it runs alone: what it has now, and what it flushes, must survive. */
  takeOver(): void {
    this.durable = this.disks.map((disk) => Buffer.from(disk));
    this.#durableOf = this.disks.map((disk) => new Uint32Array(disk.length));
    this.#later = [];
  }

  /**
   * @throws Violation unless `found` holds all that is durable, and nothing that was never written
   */
  checkSurvived(disk: number, found: Buffer): void {
    const durable = this.durable?.[disk];
    if (!durable) return;
    const later = this.#later.filter((write) => write.disk === disk);
    for (let at = 0; at < durable.length; at++) {
      if (found[at] === durable[at]) continue;
      const isLater = later.some(
        ({ offset, data, sequence }) =>
          sequence > (this.#durableOf[disk]?.[at] ?? 0) &&
          at >= offset &&
          at < offset + data.length &&
          data[at - offset] === found[at],
      );
      if (isLater) continue;
      throw new Violation(
        'I4 durability',
        `after a crash, disk ${disk} at ${at}: ${found[at] ?? 'nothing'} instead of ${durable[at]}`,
      );
    }
  }

  #flush(disk: number): void {
    const peer = this.peers[disk];
    const covered = this.#later.filter((write) => write.disk === disk && write.isDone);
    if (!peer?.isOpen) {
      this.#unflushed.delete(disk);
      return;
    }
    const hadInFlight = this.#inFlight.some((range) => range.disk === disk);
    this.#flushes++;
    peer.send({
      ...{ command: 'flush', offset: 0, length: 0 },
      done: (errno) => {
        this.#flushes--;
        if (errno !== 0) {
          // QEMU goes on, whatever a flush at a stop says.
          this.#unflushed.delete(disk);
          this.options.onError('a flush', errno);
          return;
        }
        if (!hadInFlight && !this.#inFlight.some((range) => range.disk === disk)) {
          this.#unflushed.delete(disk);
        }
        this.#nowDurable(covered);
      },
    });
  }

  #nowDurable(writes: readonly Write[]): void {
    for (const write of writes) {
      const { disk, offset, data, sequence } = write;
      const durable = this.durable?.[disk];
      const durableOf = this.#durableOf[disk];
      if (!durable || !durableOf || !this.#later.includes(write)) continue;
      this.#later.splice(this.#later.indexOf(write), 1);
      for (const [at, byte] of data.entries()) {
        if (sequence <= (durableOf[offset + at] as number)) continue;
        durable[offset + at] = byte;
        durableOf[offset + at] = sequence;
      }
    }
  }

  #range(): Range | undefined {
    const { diskCount, diskBytes } = this.options;
    const disk = this.random.below(diskCount);
    const grain = this.random.pick([512, 512, 4096, 1]);
    const offset = Math.floor(this.random.below(diskBytes) / grain) * grain;
    const longest = this.random.pick([512, 4096, 9000]);
    const length = Math.min(
      diskBytes - offset,
      Math.max(grain, Math.ceil((1 + this.random.below(longest)) / grain) * grain),
    );
    const isFree = this.#inFlight.every(
      (other) =>
        other.disk !== disk ||
        other.offset >= offset + length ||
        other.offset + other.length <= offset,
    );
    return isFree ? { disk, offset, length } : undefined;
  }

  #pattern(length: number): Buffer {
    this.#token++;
    const data = Buffer.allocUnsafe(length);
    const salt = this.options.reads ? 0x80 : 0x00;
    for (let at = 0; at < length; at++) {
      data[at] = salt | (1 + ((Math.imul(this.#token + (at >> 2), 0x9e3779b1) >>> 25) % 127));
    }
    return data;
  }
}
