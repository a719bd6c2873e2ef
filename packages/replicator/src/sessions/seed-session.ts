/**
 * The connections of the first copy of a disk.
 *
 *   pvm-seed     begins a copy: what the base held is given up
 *   pvm-resync   begins one to a base that lags behind: it keeps what it holds, and the mirror brings
 *                only what is written from now on; the rest comes over pvm-fetch (fetch-session.ts)
 *   pvm-resume   goes on with the copy that this process knows of, after its connection broke
 *   pvm-link     the link, once the copy is complete: `pvm`, but only after an unbroken copy
 *
 * `pvm-resume` has no FLUSH: QEMU can replace a dead connection below a running mirror only if
 * flushing the dead one does not fail (block.c bdrv_reopen_prepare), and an NBD client does not ask
 * a server to flush that has not offered to. Nothing needs to be durable during seeding.
 *
 * `pvm-seed` begins at once if no other copy is at stake. Otherwise a mirror may wait to go on with
 * that copy, and would send the rest of it to an empty base: a copy then begins with the first
 * write or flush. QEMU flushes a node that it closes if the node was opened for writing (block.c
 * bdrv_close); programs that only look, such as `qemu-img info`, do neither.
 *
 * A new connection fences the one before it, which may be hung, with writes in its buffers that are
 * older than what comes over the new one. The old one's writes are refused from then on, and those
 * under way end before the new one is served.
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
import { fetchExportOf } from './fetch-session.js';
import { expectSeeding, openLink, PrimarySession } from './primary-session.js';
import type { SessionHost } from './session-host.js';

type Common = Pick<NbdExport, 'name' | 'sizeBytes' | 'features' | 'blockSize'>;

/** `pvm-seed`, `pvm-resync`, `pvm-resume`, `pvm-link` and `pvm-fetch` of one disk. */
export function seedExportsOf(host: SessionHost, disk: Disk, common: Common): NbdExport[] {
  const line = new SeedLine(host, disk);
  const features = { ...common.features, fua: false, multiConn: false };
  const what = `${host.vm}, disk ${disk.name}: the first copy`;
  return [
    {
      ...common,
      features,
      name: `${common.name}-seed`,
      description: `${what} begins here`,
      open: () => line.open('whole'),
    },
    {
      ...common,
      features,
      name: `${common.name}-resync`,
      description: `${host.vm}, disk ${disk.name}: an update of the base begins here`,
      open: () => line.open('update'),
    },
    fetchExportOf(host, disk, { ...common, features }),
    {
      ...common,
      features: { ...features, flush: false },
      name: `${common.name}-resume`,
      description: `${what} goes on here after its connection broke`,
      open: () => line.openResume(),
    },
    {
      ...common,
      name: `${common.name}-link`,
      description: `${host.vm}, disk ${disk.name}: the primary writes here after the copy`,
      open: () => openLink(host, disk, true),
    },
  ];
}

/** What a copy begins with: an empty base, or one that is brought up to date. */
type CopyKind = 'whole' | 'update';

/** The connections of one disk's copy, one after the other. */
class SeedLine {
  #current: SeedSession | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {}

  open(kind: CopyKind): Promise<SeedSession> {
    return this.#inTurn(async () => {
      expectSeeding(this.host);
      if (kind === 'update') this.#expectBasis();
      const session = new SeedSession(this.host, this.disk, (own) => this.begin(own, kind));
      if (!this.host.link.isCopyAtStake(this.disk.name)) await this.#begin(session, kind);
      return session;
    });
  }

  openResume(): Promise<SeedSession> {
    return this.#inTurn(async () => {
      expectSeeding(this.host);
      const session = new SeedSession(this.host, this.disk, (own) => this.begin(own, 'whole'));
      await this.#replace(this.host.link.copyResumes(this.disk.name));
      this.#serve(session);
      return session;
    });
  }

  /** The copy begins with this session. @throws NbdRefusal if it can't */
  begin(session: SeedSession, kind: CopyKind): Promise<void> {
    return this.#inTurn(async () => {
      if (session.phase !== 'waiting') return;
      expectSeeding(this.host);
      await this.#begin(session, kind);
    });
  }

  async #begin(session: SeedSession, kind: CopyKind): Promise<void> {
    const { link, basis } = this.host;
    const { name, base, fetched } = this.disk;
    if (kind === 'update') this.#expectBasis();
    await this.#replace(link.copyBegins(name));
    try {
      if (kind === 'update') {
        fetched.begin();
      } else {
        await basis.drop();
        await fetched.giveUp();
        await base.clear?.();
      }
    } catch (error) {
      link.copyFailedToBegin(name);
      throw error;
    }
    this.#serve(session);
  }

  /** @throws NbdRefusal if the base has to be copied as a whole */
  #expectBasis(): void {
    if (this.host.basis.recorded !== undefined) return;
    const message = `it is not known what the base of disk ${this.disk.name} lacks; seed again`;
    throw new NbdRefusal('policy', message);
  }

  /** The session before takes nothing more; settles when what it has taken is done. */
  async #replace(obstacle: string | undefined): Promise<void> {
    if (obstacle !== undefined) throw new NbdRefusal('policy', `${obstacle}; seed again`);
    const before = this.#current;
    this.#current = undefined;
    await before?.fence();
  }

  #serve(session: SeedSession): void {
    this.#current = session;
    session.serve();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

/** Waiting to begin, serving the copy, or replaced by a newer connection. */
type SeedPhase = 'waiting' | 'serving' | 'fenced';

class SeedSession implements ExportSession {
  readonly #inner: PrimarySession;
  readonly #underWay = new Set<Promise<void>>();
  #phase: SeedPhase = 'waiting';
  #end: SessionEnd | undefined;

  /** @param begin has the copy begin with a session that waits */
  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
    private readonly begin: (session: SeedSession) => Promise<void>,
  ) {
    this.#inner = new PrimarySession(host, disk);
  }

  get phase(): SeedPhase {
    return this.#phase;
  }

  /** It carries the copy from now on; it may have ended by now. */
  serve(): void {
    this.#phase = 'serving';
    if (this.#end) this.host.link.copyEnded(this.disk.name, this.#end);
  }

  /** Takes nothing more; settles when what it has taken is done. */
  async fence(): Promise<void> {
    this.#phase = 'fenced';
    await Promise.allSettled([...this.#underWay]);
  }

  read(offset: number, target: Uint8Array): void | Promise<void> {
    return this.#inner.read(offset, target);
  }

  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void> {
    if (this.#phase !== 'waiting') return this.#change(() => this.#inner.write(offset, data, fua));
    const kept = Buffer.from(data);
    return this.#begun(() => this.#inner.write(offset, kept, fua));
  }

  /** Begins the copy if it has not begun; nothing has to be durable. Only `pvm-seed` offers it. */
  flush(): void | Promise<void> {
    if (this.#phase === 'waiting') return this.#begun(() => undefined);
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    const trim = (): void | Promise<void> => this.#inner.trim(offset, length, fua);
    return this.#phase === 'waiting' ? this.#begun(trim) : this.#change(trim);
  }

  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void> {
    const zero = (): void | Promise<void> => this.#inner.writeZeroes(offset, length, how);
    return this.#phase === 'waiting' ? this.#begun(zero) : this.#change(zero);
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] | Promise<readonly Extent[]> {
    return this.#inner.blockStatus(offset, length);
  }

  close(end: SessionEnd): void {
    this.#end = end;
    if (this.#phase === 'serving') this.host.link.copyEnded(this.disk.name, end);
  }

  async #begun(change: () => void | Promise<void>): Promise<void> {
    try {
      await this.begin(this);
    } catch (error) {
      if (!(error instanceof NbdRefusal)) throw error;
      throw new NbdCommandError('ESHUTDOWN', error.message, { cause: error });
    }
    await this.#change(change);
  }

  #change(change: () => void | Promise<void>): void | Promise<void> {
    if (this.#phase === 'fenced') {
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
