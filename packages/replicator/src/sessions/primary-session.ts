import {
  type Extent,
  type ExportSession,
  NbdCommandError,
  NbdRefusal,
  type ReadView,
  type SessionEnd,
  type ZeroRequest,
} from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { isNoSpace, messageOf } from '../io-errors.js';
import type { SessionHost } from './session-host.js';

/** Zeros take memory at their two ends at most. */
export const ZERO_COST_MAX_BYTES = 8192;

/**
 * The session behind `pvm` and `pvm-link`.
 *
 * @param mustFollow whether it has to follow a copy that used an export of its own
 * @throws NbdRefusal when the replica takes no primary, or not now
 */
export function openLink(host: SessionHost, disk: Disk, mustFollow = false): PrimarySession {
  expectSeeding(host);
  if (disk.fetched.isMissing) {
    throw new NbdRefusal('policy', `disk ${disk.name} is not up to date yet; seed again`);
  }
  const obstacle = host.link.opened(disk.name, mustFollow);
  if (obstacle !== undefined) throw new NbdRefusal('policy', `${obstacle}; seed again`);
  return new PrimarySession(host, disk);
}

/** @throws NbdRefusal when a primary comes too late */
export function expectSeeding({ state, link }: SessionHost): void {
  if (state === 'seeding') return;
  const why = link.loss ?? `the replica is ${state}`;
  throw new NbdRefusal('policy', `not taking a new primary: ${why}; seed again`);
}

/** Where the primary's requests go in one state of the replica. */
interface Sink {
  read(offset: number, target: Uint8Array): void | Promise<void>;
  view(offset: number, length: number): ReadView | undefined;
  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void>;
  zero(offset: number, length: number, how: ZeroRequest): void | Promise<void>;
  flush(): void | Promise<void>;
}

/** The primary's writes: straight into the base during seeding, then into the open epoch. */
export class PrimarySession implements ExportSession {
  readonly #seed: Sink;
  readonly #epoch: Sink;

  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {
    this.#seed = new SeedSink(host, disk);
    this.#epoch = new EpochSink(host, disk);
  }

  get #sink(): Sink {
    return this.host.state === 'seeding' ? this.#seed : this.#epoch;
  }

  read(offset: number, target: Uint8Array): void | Promise<void> {
    return this.#sink.read(offset, target);
  }

  view(offset: number, length: number): ReadView | undefined {
    return this.#sink.view(offset, length);
  }

  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void> {
    this.#wrote(offset, data.length);
    return this.#sink.write(offset, data, fua);
  }

  flush(): void | Promise<void> {
    return this.#sink.flush();
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    return this.writeZeroes(offset, length, { fua, mayPunchHole: true, fast: false });
  }

  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void> {
    this.#wrote(offset, length);
    return this.#sink.zero(offset, length, how);
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] {
    return [this.disk.extent(this.disk.primary, offset, length)];
  }

  /** QEMU ignores the error that a write of its replication filter gets. */
  refused(message: string): void {
    const reason = `a write of the primary was refused: ${message}`;
    this.host.link.writeFailed(this.disk.name, reason);
  }

  close(end: SessionEnd): void {
    this.host.link.closed(this.disk.name, end);
  }

  #wrote(offset: number, length: number): void {
    this.host.link.wrote(this.disk.name);
    this.disk.arrivals.note(offset, length);
  }
}

/** While the replica seeds: the base image. */
class SeedSink implements Sink {
  #isFailureReported = false;

  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {}

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.disk.base.read(offset, target);
  }

  view(): undefined {
    return undefined;
  }

  write(offset: number, data: Uint8Array, fua: boolean): Promise<void> {
    const { base, fetched } = this.disk;
    const earlier = fetched.before(offset, data.length);
    const copy = Buffer.from(data);
    const write = (): Promise<void> => base.write(offset, copy);
    return this.#done(earlier ? earlier.then(write) : write(), fua);
  }

  zero(offset: number, length: number, { fua, fast }: ZeroRequest): Promise<void> {
    if (fast && this.disk.base.holeEnd(offset) < offset + length) {
      throw new NbdCommandError('ENOTSUP', 'zeroing is no faster than writing zeros here');
    }
    const { base, fetched } = this.disk;
    const earlier = fetched.before(offset, length);
    const zero = (): Promise<void> => base.zero(offset, length);
    return this.#done(earlier ? earlier.then(zero) : zero(), fua);
  }

  flush(): Promise<void> {
    return this.#done(this.disk.base.sync(), false);
  }

  async #done(work: Promise<void>, fua: boolean): Promise<void> {
    try {
      await work;
      if (fua) await this.disk.base.sync();
    } catch (error) {
      // The primary may ignore the error that it gets.
      this.host.link.writeFailed(this.disk.name, `seeding failed: ${messageOf(error)}`);
      // When several fail at once, the first is enough.
      if (!this.#isFailureReported) this.host.seedFailed(error);
      this.#isFailureReported = true;
      const wireError = isNoSpace((error as Error).cause) ? 'ENOSPC' : 'EIO';
      throw new NbdCommandError(wireError, messageOf(error), { cause: error });
    }
  }
}

/** Once COLO runs: the open epoch, in memory. */
class EpochSink implements Sink {
  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {}

  read(offset: number, target: Uint8Array): void | Promise<void> {
    this.#expectAlive();
    return this.disk.read(this.disk.primary, offset, target);
  }

  view(offset: number, length: number): ReadView | undefined {
    this.#expectAlive();
    return this.disk.view(this.disk.primary, offset, length);
  }

  write(offset: number, data: Uint8Array): void | Promise<void> {
    this.#expectAlive();
    try {
      this.disk.primary.write(offset, data);
    } catch (error) {
      this.#failed(error);
    }
    return this.host.admitGrowth(data.length);
  }

  zero(offset: number, length: number): void | Promise<void> {
    this.#expectAlive();
    try {
      this.disk.primary.zero(offset, length);
    } catch (error) {
      this.#failed(error);
    }
    return this.host.admitGrowth(Math.min(length, ZERO_COST_MAX_BYTES));
  }

  /** Nothing to do: before a failover the primary's own disk is what makes data durable (I4). */
  flush(): void {
    this.#expectAlive();
    this.host.link.flushed(this.disk.name);
  }

  /** The write is not in the epoch, and QEMU ignores the error that it gets (I5). */
  #failed(error: unknown): never {
    const reason = `a write of the primary could not be buffered: ${messageOf(error)}`;
    this.host.link.writeFailed(this.disk.name, reason);
    throw new NbdCommandError('EIO', reason, { cause: error });
  }

  #expectAlive(): void {
    const { state, reason, link } = this.host;
    if (state === 'protected' && link.loss === undefined) return;
    const message = `the replica takes no more writes: ${link.loss ?? reason}`;
    throw new NbdCommandError('ESHUTDOWN', message);
  }
}
