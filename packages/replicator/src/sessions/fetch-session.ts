/**
 * `pvm-fetch`: what the primary's disk holds where its base lags behind, read by the primary's
 * daemon while the guest runs, beside the mirror. The flush at its end says that all has come; the
 * link opens only after that.
 */
import {
  type ExportSession,
  type Extent,
  NbdCommandError,
  type NbdExport,
  NbdRefusal,
} from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { isNoSpace, messageOf } from '../io-errors.js';
import { expectSeeding } from './primary-session.js';
import type { SessionHost } from './session-host.js';

type Common = Pick<NbdExport, 'name' | 'sizeBytes' | 'features' | 'blockSize'>;

/** The export of one disk. */
export function fetchExportOf(host: SessionHost, disk: Disk, common: Common): NbdExport {
  return {
    ...common,
    features: { ...common.features, trim: false, fastZero: false, cache: false },
    name: `${common.name}-fetch`,
    description: `${host.vm}, disk ${disk.name}: what the base lacks`,
    open: () => {
      expectSeeding(host);
      const { attempt } = disk.fetched;
      if (attempt === undefined) {
        throw new NbdRefusal('policy', `no update of disk ${disk.name} has begun`);
      }
      return new FetchSession(host, disk, attempt);
    },
  };
}

class FetchSession implements ExportSession {
  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
    private readonly attempt: number,
  ) {}

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.disk.base.read(offset, target);
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    this.#expectOpen();
    const copy = Buffer.from(data);
    const { base, fetched } = this.disk;
    return this.#done(
      fetched.put(offset, data.length, ([start, end]) =>
        base.write(start, copy.subarray(start - offset, end - offset)),
      ),
    );
  }

  writeZeroes(offset: number, length: number): Promise<void> {
    this.#expectOpen();
    const { base, fetched } = this.disk;
    return this.#done(fetched.put(offset, length, ([start, end]) => base.zero(start, end - start)));
  }

  flush(): Promise<void> {
    this.#expectOpen();
    return this.#done(this.disk.fetched.complete(this.attempt));
  }

  trim(): never {
    throw new NbdCommandError('EINVAL', 'nothing is discarded here');
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] {
    return [this.disk.extent(this.disk.primary, offset, length)];
  }

  close(): void {
    return;
  }

  #expectOpen(): void {
    if (this.host.state === 'seeding' && this.disk.fetched.attempt === this.attempt) return;
    throw new NbdCommandError('ESHUTDOWN', 'this update of the base is over');
  }

  async #done(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.host.seedFailed(error);
      const wireError = isNoSpace((error as Error).cause) ? 'ENOSPC' : 'EIO';
      throw new NbdCommandError(wireError, messageOf(error), { cause: error });
    }
  }
}
