import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  auditAnswerSchema,
  type CopyKind,
  describeError,
  type PeerStatus,
  type PrimaryConfig,
  type PrimaryStatus,
} from '@gannet/contract';
import { NbdClient } from '@gannet/nbd';
import { type DiskLink, OwnDisks, type SeedProgress, WriteBitmaps } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import { fetchExportOf } from '../../inspect/disk-links.js';
import type { Credentials } from '../../tls/credentials.js';
import type { History } from '../history.js';
import type { PeerLink } from '../peer/peer-link.js';
import { ownDisksSocket } from '../verify/own-disk-reader.js';
import { fetchChanges, type FetchedDisk } from './fetch-changes.js';
import { firstWholeEpoch, type Track, Tracks } from './tracks.js';

export interface ResyncOptions {
  readonly config: () => PrimaryConfig;
  readonly links: readonly DiskLink[];
  readonly link: () => PeerLink;
  readonly qmp: () => QmpClient | undefined;
  readonly history: Pick<History, 'add'>;
  readonly credentials?: Credentials | undefined;
  readonly onTrouble: (error: unknown) => void;
}

/** How the disks are copied, as was decided when `protect` began to. */
export interface CopyPlan {
  readonly how: CopyKind;
  readonly reason: string;
  /** What the changes are read from; undefined for whole disks. */
  readonly track: Track | undefined;
}

/** Bounds and reports of an update. */
export interface UpdateOptions {
  readonly signal: AbortSignal;
  readonly bytesPerSec: () => number;
  readonly onProgress: (progress: SeedProgress) => void;
}

const COMMAND_TIMEOUT_MS = 10_000;
/** Least time between the begin of two bitmaps. */
const ROTATE_MS = 10_000;
/** After so many updates that failed in a row, the disks are copied as a whole. */
const FAILURES_MAX = 2;
const FROZEN = 'frozen';

/**
 * Records what the guest writes, so that a secondary that comes back with its bases is brought up to
 * date by that alone. Bitmaps are replaced while the VM is protected, as the secondary reports what
 * its bases hold. What is known of them is in this process: another one begins anew.
 */
export class Resync {
  readonly #tracks = new Tracks();
  #qmp: QmpClient | undefined;
  #begunMs = -Infinity;
  #work: Promise<void> = Promise.resolve();
  #isBeginning = false;
  #failures = 0;
  #last: PrimaryStatus['lastCopy'];

  constructor(private readonly options: ResyncOptions) {}

  /** For the status. */
  get view(): Pick<PrimaryStatus, 'lastCopy'> {
    return this.#last ? { lastCopy: this.#last } : {};
  }

  /** What the secondary says while the VM is protected. Changes nothing in a checkpoint's way. */
  hear({ basis }: PeerStatus): void {
    if (!basis || this.#isBeginning || this.options.qmp() === undefined) return;
    this.#forgetOther();
    const isNews = this.#tracks.heard(basis);
    const isDue = performance.now() - this.#begunMs >= ROTATE_MS;
    if (!isNews && !(this.#tracks.wantsNext && isDue)) return;
    this.#isBeginning = true;
    this.#inTurn(async (bitmaps) => {
      await bitmaps.keepOnly(this.#tracks.ids);
      if (this.#tracks.wantsNext && isDue) await this.#begin(bitmaps);
    })
      .catch(this.options.onTrouble)
      .finally(() => (this.#isBeginning = false));
  }

  /**
   * Decides how the disks are copied, before they are. Whatever may still be needed of what is
   * recorded is kept; the rest goes, and a bitmap for the copy that begins is added.
   */
  async plan(): Promise<CopyPlan> {
    this.#forgetOther();
    const plan = await this.#inTurn((bitmaps) => this.#plan(bitmaps)).catch((error: unknown) => {
      this.#tracks.keep(undefined);
      return whole(describeError(error).message);
    });
    const { how, reason } = plan;
    this.#last = { how, reason };
    this.options.history.add('copy-begins', { how, reason });
    return plan;
  }

  /** Copies what the bases lack, beside the mirrors. @throws if it is not all there */
  async update(track: Track, options: UpdateOptions): Promise<void> {
    const startMs = performance.now();
    const disks: OpenDisks = { clients: [], own: undefined };
    const stop = (): void => disks.clients.forEach((client) => client.destroy());
    options.signal.addEventListener('abort', stop);
    try {
      const fetched = await this.#open(track, disks);
      const copied = fetched.map((disk) =>
        fetchChanges(disk, {
          ...{ signal: options.signal, bytesPerSec: options.bytesPerSec },
          ...{
            now: () => performance.now(),
            sleep: (ms, signal) => sleep(ms, undefined, { signal }),
          },
          onProgress: (doneBytes, totalBytes) => {
            const { device } = disk;
            const limitBytesPerSec = options.bytesPerSec();
            options.onProgress({ device, doneBytes, totalBytes, limitBytesPerSec });
          },
        }),
      );
      const bytes = (await Promise.all(copied)).reduce((sum, one) => sum + one, 0);
      const totalBytes = fetched.reduce((sum, { own }) => sum + own.sizeBytes, 0);
      const ms = Math.round(performance.now() - startMs);
      this.#failures = 0;
      this.#last = { how: 'changes', reason: this.#last?.reason ?? '', copiedBytes: bytes };
      this.options.history.add('resynced', { copiedBytes: bytes, totalBytes, ms });
    } catch (error) {
      throw options.signal.aborted ? options.signal.reason : error;
    } finally {
      options.signal.removeEventListener('abort', stop);
      stop();
      await disks.own?.close().catch(this.options.onTrouble);
      await this.#inTurn((bitmaps) => bitmaps.keepOnly(this.#tracks.ids)).catch(
        this.options.onTrouble,
      );
    }
  }

  /** A copy of what had changed came to nothing: after some of these, nobody trusts in it. */
  updateFailed(): void {
    this.#failures++;
  }

  async #plan(bitmaps: WriteBitmaps): Promise<CopyPlan> {
    const basis = this.options.link().peer?.status.basis;
    const choice = this.#tracks.choose(basis);
    let track = 'track' in choice ? choice.track : undefined;
    let reason = 'reason' in choice ? choice.reason : `the base holds epoch ${basis?.epoch}`;
    if (track && this.#failures >= FAILURES_MAX) {
      reason = `to copy only what had changed has failed ${this.#failures} times`;
      track = undefined;
    }
    for (const disk of track ? this.options.links : []) {
      if (!track || (await bitmaps.isRecording(disk, track.id))) continue;
      reason = `the writes to ${disk.device} are not recorded any more`;
      track = undefined;
    }
    if (!track) this.#failures = 0;
    this.#tracks.keep(track);
    await bitmaps.keepOnly(this.#tracks.ids);
    // A secondary that reports no basis is of a version that keeps none.
    await this.#begin(bitmaps).catch(this.options.onTrouble);
    return track ? { how: 'changes', reason, track } : whole(reason);
  }

  /** Adds a bitmap. Only what is asked afterwards says what it has. */
  async #begin(bitmaps: WriteBitmaps): Promise<void> {
    const { links, link } = this.options;
    const id = randomUUID().slice(0, 8);
    this.#begunMs = performance.now();
    await bitmaps.add(links, id);
    try {
      const answer = await link().ask({ kind: 'epoch' });
      const { data } = auditAnswerSchema.safeParse(answer);
      const { replica, epoch } = data ?? {};
      if (replica === undefined || epoch === undefined) return;
      this.#tracks.begun({ id, replica, from: firstWholeEpoch(epoch) });
    } finally {
      if (!this.#tracks.ids.includes(id)) await bitmaps.keepOnly(this.#tracks.ids);
    }
  }

  async #open(track: Track, disks: OpenDisks): Promise<FetchedDisk[]> {
    const { links, config } = this.options;
    const bitmap = await this.#inTurn((bitmaps) => bitmaps.freeze(links, track.id, FROZEN));
    const qmp = this.#expectQmp();
    const bounds = { timeoutMs: COMMAND_TIMEOUT_MS };
    const own = await OwnDisks.open(qmp, links, ownDisksSocket(config()), bounds, bitmap);
    disks.own = own;
    const connect = async (...to: Parameters<typeof NbdClient.connect>): Promise<NbdClient> => {
      const client = await NbdClient.connect(...to);
      disks.clients.push(client);
      return client;
    };
    const fetched: FetchedDisk[] = [];
    for (const link of links) {
      const metaContext = `qemu:dirty-bitmap:${bitmap}`;
      fetched.push({
        device: link.device,
        own: await connect({ path: own.path }, { export: own.exportOf(link), metaContext }),
        replica: await connect(...this.#replicaOf(link)),
      });
    }
    return fetched;
  }

  #replicaOf(link: DiskLink): Parameters<typeof NbdClient.connect> {
    const { nbd } = this.options.config().primary;
    const options = { export: fetchExportOf(link), baseAllocation: false };
    if (nbd.type === 'unix') return [{ path: nbd.path }, options];
    const { credentials } = this.options;
    const tls = nbd.tls && credentials ? { tls: credentials.client() } : {};
    return [
      { host: nbd.host, port: nbd.port },
      { ...options, ...tls },
    ];
  }

  /** What is known of the bitmaps is known of this QEMU only. */
  #forgetOther(): void {
    const qmp = this.options.qmp();
    if (qmp === undefined || qmp === this.#qmp) return;
    this.#qmp = qmp;
    this.#tracks.keep(undefined);
    this.#begunMs = -Infinity;
  }

  #expectQmp(): QmpClient {
    const qmp = this.options.qmp();
    if (!qmp || qmp !== this.#qmp) throw new Error('the QEMU is another one');
    return qmp;
  }

  /** One after the other: each looks at what the one before has left. */
  #inTurn<T>(work: (bitmaps: WriteBitmaps) => Promise<T>): Promise<T> {
    const done = this.#work.then(() =>
      work(new WriteBitmaps(this.#expectQmp(), { timeoutMs: COMMAND_TIMEOUT_MS })),
    );
    this.#work = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }
}

/** What an update has open. */
interface OpenDisks {
  readonly clients: NbdClient[];
  own: OwnDisks | undefined;
}

function whole(reason: string): CopyPlan {
  return { how: 'whole', reason, track: undefined };
}
