import type { VerifyProgress, VerifyReport, WrongPlace } from '@gannet/contract';
import { digestsOf, digestsOfZeros } from '@gannet/replicator';
import { SuspectSettler } from './settle-suspects.js';
import type { AskedReplica, Chunk, OwnDisk } from './verify-ports.js';

/** What both sides read and hash before they compare. */
const SPAN_BYTES = 4 * 1024 * 1024;
/** What one digest is for. */
const CHUNK_BYTES = 64 * 1024;
/** So many are decided about together: each time costs a checkpoint or two. */
const SUSPECTS_MAX = 256;
/** A replica that differs in more is no case for a repair of places. */
const WRONG_CHUNKS_MAX = 1024;
const STOP_PATIENCE_MS = 5000;
/** The report and the events name no more. */
const PLACES_MAX = 100;

export interface VerifyRunOptions {
  readonly disks: readonly OwnDisk[];
  readonly replica: AskedReplica;
  readonly checkpointAfter: (epoch: number) => Promise<void>;
  readonly isRepair: boolean;
  /** On each side; 0 for no limit. */
  readonly bytesPerSec: number;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onProgress: (progress: VerifyProgress) => void;
  readonly onWrong: (place: WrongPlace) => void;
  /** Called when so much is wrong that the rest is not compared. */
  readonly onTooMuch: (wrongBytes: number) => void;
  /** Aborted when the protection ends: the comparison is of no use then. */
  readonly signal: AbortSignal;
  /** How long what is being compared may take when it is to stop: storage may hang. */
  readonly stopPatienceMs?: number;
}

/**
 * Compares the disks of a protected VM with their replica, while both change. Each side reads and
 * hashes its own; only digests cross the link. What differs is looked at again at once, which
 * settles most of what was under way, and then by a SuspectSettler.
 */
export class VerifyRun {
  readonly #options: VerifyRunOptions;
  readonly #settler: SuspectSettler;
  readonly #startMs: number;
  readonly #totalBytes: number;
  readonly #buffer = Buffer.allocUnsafe(SPAN_BYTES);
  readonly #places: WrongPlace[] = [];
  #suspects: Chunk[] = [];
  #comparedBytes = 0;
  #suspectBytes = 0;
  #wrongBytes = 0;
  #wrongChunks = 0;
  #repairedBytes = 0;
  #busyBytes = 0;
  #isStopped = false;
  #isWhole = false;
  #giveUp: () => void = () => undefined;
  #patience: NodeJS.Timeout | undefined;

  constructor(options: VerifyRunOptions) {
    this.#options = options;
    this.#startMs = options.now();
    this.#totalBytes = options.disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const byName = new Map(options.disks.map((disk) => [disk.name, disk]));
    const diskOf = (name: string): OwnDisk => byName.get(name) as OwnDisk;
    this.#settler = new SuspectSettler({ ...options, diskOf });
  }

  get progress(): VerifyProgress {
    const [doneBytes, totalBytes] = [this.#comparedBytes, this.#totalBytes];
    return { stage: 'verify', doneBytes, totalBytes, suspectBytes: this.#suspectBytes };
  }

  get report(): VerifyReport {
    return { ...this.summary, places: this.#places };
  }

  get summary(): Omit<VerifyReport, 'places'> {
    return {
      isWhole: this.#isWhole,
      comparedBytes: this.#comparedBytes,
      ms: Math.round(this.#options.now() - this.#startMs),
      wrongBytes: this.#wrongBytes,
      repairedBytes: this.#repairedBytes,
      busyBytes: this.#busyBytes,
    };
  }

  /** It ends after what it is comparing, with a report of what it has. */
  stop(): void {
    this.#isStopped = true;
    const { stopPatienceMs = STOP_PATIENCE_MS } = this.#options;
    this.#patience ??= setTimeout(() => this.#giveUp(), stopPatienceMs);
  }

  /**
   * Rejects if a side can't be read or asked, or with the reason of the signal. Reads that are
   * under way then, or when it stops, may go on: storage that hangs does not answer.
   */
  async run(): Promise<VerifyReport> {
    const { signal } = this.#options;
    const comparison = this.#compareAll();
    comparison.catch(() => undefined);
    let onAbort = (): void => undefined;
    const givenUp = new Promise<void>((resolve, reject) => {
      this.#giveUp = resolve;
      onAbort = () => reject(signal.reason as Error);
    });
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([comparison, givenUp]);
      return this.report;
    } finally {
      // Whatever comes of it later is not reported any more.
      this.#isStopped = true;
      clearTimeout(this.#patience);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #compareAll(): Promise<void> {
    for (const disk of this.#options.disks) {
      for (let at = 0; at < disk.sizeBytes && !this.#isStopped; at += SPAN_BYTES) {
        const length = Math.min(SPAN_BYTES, disk.sizeBytes - at);
        await this.#compare(disk, { disk: disk.name, offset: at, length });
      }
    }
    await this.#settle();
    this.#isWhole = !this.#isStopped;
  }

  async #compare(disk: OwnDisk, span: Chunk): Promise<void> {
    this.#options.signal.throwIfAborted();
    for (const chunk of await this.#differing(disk, span)) {
      const stillDiffers = (await this.#differing(disk, chunk)).length > 0;
      if (!stillDiffers) continue;
      this.#suspects.push(chunk);
      this.#suspectBytes += chunk.length;
      if (this.#suspects.length >= SUSPECTS_MAX) await this.#settle();
      if (this.#isStopped) return;
    }
    this.#comparedBytes += span.length;
    this.#options.onProgress(this.progress);
    await this.#slowDown();
  }

  async #differing(disk: OwnDisk, span: Chunk): Promise<Chunk[]> {
    const [own, theirs] = await Promise.all([
      this.#ownDigests(disk, span),
      this.#options.replica.digests(span, CHUNK_BYTES),
    ]);
    const end = span.offset + span.length;
    return own.flatMap((digest, at) => {
      if (digest === theirs.digests[at]) return [];
      const offset = span.offset + at * CHUNK_BYTES;
      return [{ disk: disk.name, offset, length: Math.min(CHUNK_BYTES, end - offset) }];
    });
  }

  async #ownDigests(disk: OwnDisk, { offset, length }: Chunk): Promise<string[]> {
    if (await disk.isZero(offset, length)) return digestsOfZeros(length, CHUNK_BYTES);
    const data = this.#buffer.subarray(0, length);
    await disk.read(offset, data);
    return digestsOf(data, CHUNK_BYTES);
  }

  async #settle(): Promise<void> {
    const chunks = this.#suspects.splice(0);
    if (chunks.length === 0) return;
    const { wrong, busyBytes } = await this.#settler.settle(chunks);
    this.#busyBytes += busyBytes;
    for (const place of wrong) {
      this.#wrongBytes += place.length;
      if (place.isRepaired) this.#repairedBytes += place.length;
      if (this.#places.length >= PLACES_MAX) continue;
      this.#places.push(place);
      this.#options.onWrong(place);
    }
    this.#wrongChunks += new Set(
      wrong.map(({ disk, offset }) => `${disk} ${chunkOf(offset)}`),
    ).size;
    if (this.#wrongChunks < WRONG_CHUNKS_MAX || this.#isStopped) return;
    this.#isStopped = true;
    this.#options.onTooMuch(this.#wrongBytes);
  }

  async #slowDown(): Promise<void> {
    const { bytesPerSec, now, sleep, signal } = this.#options;
    if (bytesPerSec <= 0) return;
    const dueMs = this.#startMs + (1000 * this.#comparedBytes) / bytesPerSec;
    for (let left = dueMs - now(); left > 0 && !this.#isStopped; left = dueMs - now()) {
      await sleep(Math.min(left, SLEEP_MS_MAX), signal);
      // From then on no sleep takes any time.
      signal.throwIfAborted();
      // A sign of life for whoever waits.
      this.#options.onProgress(this.progress);
    }
  }
}

/** Somebody may want it to stop meanwhile. */
const SLEEP_MS_MAX = 1000;

function chunkOf(offset: number): number {
  return Math.floor(offset / CHUNK_BYTES);
}
