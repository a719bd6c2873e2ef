/**
 * The connections of the first copy of a disk.
 *
 *   pvm-seed     begins a copy: what the base held is given up
 *   pvm-resume   goes on with the copy that this process knows of, as often as its connection breaks
 *   pvm-link     the link, once the copy is complete: `pvm`, but only where the copy is this process's, and unbroken
 *
 * The first two have no FLUSH: QEMU can replace a dead connection below a running mirror only if flushing the dead one does not
 * fail (block.c bdrv_reopen_prepare), and an NBD client does not ask a server to flush that has not offered to. Nothing
 * needs to be durable while it is seeded.
 *
 * A new connection fences the one before it: that may be hung, with writes in its buffers that are older than what comes
 * over the new one. It takes no more of them from then on, and those under way end before the new one is served.
 */
import {
  type ExportSession,
  type Extent,
  NbdCommandError,
  type NbdExport,
  NbdRefusal,
  type SessionEnd,
  type ZeroRequest,
} from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { expectSeeding, openLink, PrimarySession } from './primary-session.js';
import type { SessionHost } from './session-host.js';

type Common = Pick<NbdExport, 'name' | 'sizeBytes' | 'features' | 'blockSize'>;

export function seedExportsOf(host: SessionHost, disk: Disk, common: Common): NbdExport[] {
  const line = new SeedLine(host, disk);
  const features = { ...common.features, flush: false, fua: false, multiConn: false };
  const what = `${host.vm}, disk ${disk.name}: the first copy`;
  return [
    {
      ...common,
      features,
      name: `${common.name}-seed`,
      description: `${what} begins here`,
      open: () => line.open('begin'),
    },
    {
      ...common,
      features,
      name: `${common.name}-resume`,
      description: `${what} goes on here after its connection broke`,
      open: () => line.open('resume'),
    },
    {
      ...common,
      name: `${common.name}-link`,
      description: `${host.vm}, disk ${disk.name}: the primary writes here after the copy`,
      open: () => openLink(host, disk, true),
    },
  ];
}

/** The connections of one disk's copy, one after the other. */
class SeedLine {
  #current: SeedSession | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {}

  open(how: 'begin' | 'resume'): Promise<SeedSession> {
    const opened = this.#tail.then(() => this.#open(how));
    this.#tail = opened.catch(() => undefined);
    return opened;
  }

  async #open(how: 'begin' | 'resume'): Promise<SeedSession> {
    const { link } = this.host;
    const { name, base } = this.disk;
    expectSeeding(this.host);
    const obstacle = how === 'begin' ? link.copyBegins(name) : link.copyResumes(name);
    if (obstacle !== undefined) throw new NbdRefusal('policy', `${obstacle}; seed again`);
    const before = this.#current;
    const session = new SeedSession(this.host, this.disk);
    this.#current = session;
    await before?.fence();
    if (how === 'begin') await base.clear?.();
    return session;
  }
}

class SeedSession implements ExportSession {
  readonly #inner: PrimarySession;
  readonly #underWay = new Set<Promise<void>>();
  #isFenced = false;

  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {
    this.#inner = new PrimarySession(host, disk);
  }

  /** Takes nothing more; settles when what it has taken is done. */
  async fence(): Promise<void> {
    this.#isFenced = true;
    await Promise.allSettled([...this.#underWay]);
  }

  read(offset: number, target: Uint8Array): void | Promise<void> {
    return this.#inner.read(offset, target);
  }

  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void> {
    return this.#change(() => this.#inner.write(offset, data, fua));
  }

  /** Not offered. */
  flush(): void {
    throw new NbdCommandError('EINVAL', 'the connection of a copy has no flush');
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    return this.#change(() => this.#inner.trim(offset, length, fua));
  }

  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void> {
    return this.#change(() => this.#inner.writeZeroes(offset, length, how));
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] | Promise<readonly Extent[]> {
    return this.#inner.blockStatus(offset, length);
  }

  close(end: SessionEnd): void {
    if (!this.#isFenced) this.host.link.copyEnded(this.disk.name, end);
  }

  #change(change: () => void | Promise<void>): void | Promise<void> {
    if (this.#isFenced) {
      throw new NbdCommandError('ESHUTDOWN', 'the copy goes on over another connection');
    }
    const done = change();
    if (done === undefined) return;
    this.#underWay.add(done);
    const forget = (): void => void this.#underWay.delete(done);
    done.then(forget, forget);
    return done;
  }
}
