import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../errors.js';
import {
  type OracleCounters,
  type OracleDigest,
  type OracleError,
  type OracleLine,
  type OracleMismatch,
  type OracleScan,
  parseOracleLine,
} from './oracle-lines.js';
import { imageDigest } from './regions.js';

const POLL_MS = 25;
const READ_BYTES = 64 * 1024;
const TAIL_LINES = 20;
const RECORDS_MAX = 1000;

export interface WaitOptions {
  readonly timeoutMs?: number;
  /** Set when there is nothing left to wait for: the VM has gone. */
  readonly signal?: AbortSignal;
}

export interface DigestComparison {
  readonly region: OracleDigest;
  readonly image: string;
  readonly equal: boolean;
}

/**
 * Follows a guest's console and keeps what its oracles report.
 *
 * Counters are what the guest last said. A checkpoint sets a secondary's back to the primary's, its
 * count of bad sectors too: `mismatches` and `sawBad` keep what was ever said.
 */
export class OracleLog {
  /** Each region's latest counters, by its id. */
  readonly regions = new Map<number, OracleCounters>();
  /** Each region's latest digest, by its id; forgotten when the region goes on. */
  readonly digests = new Map<number, OracleDigest>();
  readonly scans: OracleScan[] = [];
  /** The first thousand. */
  readonly mismatches: OracleMismatch[] = [];
  /** The first thousand. */
  readonly errors: OracleError[] = [];
  /** Lines that a checkpoint has spliced. Expected on a secondary, and nowhere else. */
  torn = 0;
  /** Any sign of a bad sector, be it in a torn line. */
  sawBad = false;

  readonly #path: string;
  readonly #describe: (() => Promise<string>) | undefined;
  readonly #tail: string[] = [];
  #started = 0;
  #fatal: string | undefined;
  #partial = '';
  #closed = false;
  #failure: unknown;
  #following: Promise<void> | undefined;

  private constructor(path: string, describe?: () => Promise<string>) {
    this.#path = path;
    this.#describe = describe;
  }

  /**
   * Follows the file from its beginning, also before it exists, until `close`.
   *
   * @param describe what the guest is seen to do: asked when one has waited for it too long
   */
  static follow(path: string, describe?: () => Promise<string>): OracleLog {
    const log = new OracleLog(path, describe);
    log.#following = log.#follow().catch((error: unknown) => {
      log.#failure = error;
    });
    return log;
  }

  /** A log fed by `feed` alone. */
  static detached(): OracleLog {
    return new OracleLog('(fed)');
  }

  /** Stops following, after a last look at the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#following;
  }

  /** How many regions have said that they start. */
  get started(): number {
    return this.#started;
  }

  /** The last lines of the console. */
  get tail(): string {
    return this.#tail.join('\n');
  }

  get writes(): number {
    return this.#sum((counters) => counters.writes);
  }

  get reads(): number {
    return this.#sum((counters) => counters.reads);
  }

  /** No mismatch, no failed request, nothing fatal, ever. */
  get clean(): boolean {
    return !this.sawBad && this.errors.length === 0 && this.#fatal === undefined;
  }

  /** Takes in a piece of the console's output. */
  feed(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) {
      this.#tail.push(line.replace(/\r$/, ''));
      if (this.#tail.length > TAIL_LINES) this.#tail.shift();
      const parsed = parseOracleLine(line);
      if (parsed !== undefined) this.#take(parsed);
    }
  }

  /**
   * Waits until `condition` holds; it is asked again whenever the console may have said more.
   *
   * @throws LabError naming `what`, with the console's last lines, when time is up, the signal is
   *   set, or
   * the oracle has given up.
   */
  async waitFor(what: string, condition: () => boolean, options: WaitOptions = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? 60_000;
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      // The end of a VM is seen before its last words are read.
      if (options.signal?.aborted === true) await delay(2 * POLL_MS);
      if (condition()) return;
      const isLate = performance.now() > deadline;
      const why = this.#whyNot(options.signal, isLate, timeoutMs);
      if (why !== undefined) {
        const context = [`console of ${this.#path}:`, this.tail];
        if (isLate && this.#describe) context.push(await this.#describe());
        throw new LabError(`${what}: ${why}; ${context.join('\n')}`, { cause: this.#failure });
      }
      await delay(POLL_MS);
    }
  }

  /** Waits until `count` regions have started. */
  async waitForStart(count: number, options?: WaitOptions): Promise<void> {
    await this.waitFor(`${count} oracles to start`, () => this.#started >= count, options);
  }

  /** Waits until each region reports `count` more writes than now. */
  async waitForWrites(count: number, options?: WaitOptions): Promise<void> {
    const goals = new Map([...this.regions].map(([id, region]) => [id, region.writes + count]));
    await this.waitFor(
      `${count} more writes in each region`,
      () =>
        this.regions.size > 0 &&
        [...this.regions].every(([id, region]) => region.writes >= (goals.get(id) ?? count)),
      options,
    );
  }

  /** Waits for the digests that the command `stop` asks for, of `count` regions. */
  async waitForDigests(count: number, options?: WaitOptions): Promise<readonly OracleDigest[]> {
    await this.waitFor(`${count} digests`, () => this.digests.size >= count, options);
    return [...this.digests.values()].sort((a, b) => a.id - b.id);
  }

  /** Waits until `count` scans in all have been reported. */
  async waitForScans(count: number, options?: WaitOptions): Promise<readonly OracleScan[]> {
    await this.waitFor(`${count} scans`, () => this.scans.length >= count, options);
    return this.scans;
  }

  #whyNot(signal: AbortSignal | undefined, late: boolean, timeoutMs: number): string | undefined {
    if (this.#fatal !== undefined) return `the oracle gave up (${this.#fatal})`;
    if (this.#failure !== undefined) return 'the console cannot be read';
    if (this.#closed) return 'the log is closed';
    if (signal?.aborted === true) return 'the VM has gone';
    return late ? `not within ${timeoutMs} ms` : undefined;
  }

  #sum(of: (counters: OracleCounters) => number): number {
    let sum = 0;
    for (const counters of this.regions.values()) sum += of(counters);
    return sum;
  }

  #take(line: OracleLine): void {
    switch (line.kind) {
      case 'counters':
        this.regions.set(line.id, line);
        if (line.bad > 0) this.sawBad = true;
        break;
      case 'start':
        this.#started++;
        break;
      case 'mismatch':
        this.sawBad = true;
        if (this.mismatches.length < RECORDS_MAX) this.mismatches.push(line);
        break;
      case 'error':
        if (this.errors.length < RECORDS_MAX) this.errors.push(line);
        break;
      case 'digest':
        this.digests.set(line.id, line);
        break;
      case 'scan':
        this.scans.push(line);
        if (line.bad > 0) this.sawBad = true;
        break;
      case 'go':
        this.digests.delete(line.id);
        break;
      case 'fatal':
        this.#fatal = line.reason;
        break;
      case 'torn':
        this.torn++;
        if (line.mismatch) this.sawBad = true;
        break;
    }
  }

  async #follow(): Promise<void> {
    let file: FileHandle | undefined;
    const buffer = Buffer.alloc(READ_BYTES);
    try {
      for (let last = false; !last;) {
        last = this.#closed;
        file ??= await openIfThere(this.#path);
        let bytesRead = 0;
        while (file && (bytesRead = (await file.read(buffer, 0, READ_BYTES, null)).bytesRead) > 0) {
          this.feed(buffer.toString('latin1', 0, bytesRead));
        }
        if (!last) await delay(POLL_MS);
      }
    } finally {
      await file?.close();
    }
  }
}

/**
 * Compares what the guest says its regions hold with what the images hold.
 *
 * @param images path of each disk's raw image, by the guest's name of the disk
 * @returns one comparison a region; a region with sectors of unknown contents is never equal
 */
export async function compareDigests(
  digests: Iterable<OracleDigest>,
  images: Readonly<Record<string, string>>,
): Promise<DigestComparison[]> {
  const comparisons: DigestComparison[] = [];
  for (const region of digests) {
    const path = images[region.disk];
    if (path === undefined)
      throw new LabError(`no image given for the guest's disk ${region.disk}`);
    const image = await imageDigest(path, region);
    comparisons.push({ region, image, equal: region.unknown === 0 && image === region.digest });
  }
  return comparisons;
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
