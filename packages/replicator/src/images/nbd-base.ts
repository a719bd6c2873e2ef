import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdClient, NbdCommandError, NbdError } from '@gannet/nbd';
import { BaseImageError } from '../errors.js';
import { allDone, ioRemedy, isNoSpace, messageOf } from '../io-errors.js';
import type { OpenBase } from './base-image.js';
import { HoleMap } from './hole-map.js';
import type { ImageFormat } from './image-file.js';
import { protocolNode, StorageDaemon } from './storage-daemon.js';

const EXPORT = 'base';
const RESTART_PAUSE_MS = 500;
/** How long a request waits for a storage daemon that is being restarted. */
const PATIENCE_MS = 10_000;
/** Length of one block status request, and how many extents of an image are looked at. */
const STATUS_BYTES_MAX = 1024 * 1024 * 1024;
const EXTENTS_MAX = 100_000;

/** How an image is opened. */
export interface NbdBaseOptions {
  readonly format: ImageFormat;
  /** It has just been created, so it is empty even if its format can't tell. */
  readonly isFresh?: boolean | undefined;
  /** Called when the storage daemon was lost, or can't be restarted. */
  readonly onTrouble?: ((error: BaseImageError) => void) | undefined;
}

/** A zero request has 32 bits for its length; smaller ones let other requests in between. */
const ZERO_BYTES_MAX = 256 * 1024 * 1024;

/** One storage daemon, and our connection to it. */
export interface Service {
  readonly daemon: Pick<StorageDaemon, 'pid' | 'ended' | 'stop' | 'kill'>;
  readonly client: Pick<
    NbdClient,
    | 'sizeBytes'
    | 'hasBlockStatus'
    | 'blockStatus'
    | 'readInto'
    | 'write'
    | 'writeZeroes'
    | 'flush'
    | 'disconnect'
    | 'destroy'
  >;
  isLost: boolean;
}

/** Starts a storage daemon on an image. */
type Serve = (file: string, format: ImageFormat) => Promise<Service>;

/**
 * An image of any format that QEMU knows, through a qemu-storage-daemon of its own.
 *
 * If the storage daemon dies it is restarted, and requests wait for that. Reads are then repeated;
 * writes fail, so that their callers know. What was written and not synced may be gone, because a
 * format such as qcow2 keeps its tables in memory: `losses` counts that, and callers write it
 * again.
 */
export class NbdBase implements OpenBase {
  readonly sizeBytes: number;
  readonly #holes: HoleMap;
  #service: Promise<Service>;
  /** The service, while it is alive. */
  #live: Service | undefined;
  #closing: Promise<void> | undefined;
  /** Writes that were answered, and how many of them are on stable storage. */
  #answered = 0;
  #synced = 0;
  #losses = 0;

  private constructor(
    readonly path: string,
    private readonly options: NbdBaseOptions,
    private readonly serve: Serve,
    service: Service,
  ) {
    this.sizeBytes = service.client.sizeBytes;
    this.#holes = new HoleMap(this.sizeBytes);
    this.#service = Promise.resolve(service);
    this.#watch(service);
  }

  /**
   * @param serve starts a storage daemon; only tests pass another one
   * @throws BaseImageError REPLICA_BASE_IN_USE, REPLICA_BASE_FORMAT or REPLICA_BASE_NOT_USABLE
   */
  static async open(
    file: string,
    options: NbdBaseOptions,
    serve: Serve = startServing,
  ): Promise<NbdBase> {
    const base = new NbdBase(file, options, serve, await serve(file, options.format));
    try {
      if (options.isFresh === true) base.#holes.add(0, base.sizeBytes);
      else await base.#findHoles();
      return base;
    } catch (error) {
      await base.close();
      throw error;
    }
  }

  get isBlank(): boolean {
    return this.#holes.isWhole;
  }

  get losses(): number {
    return this.#losses;
  }

  /** Process id of the storage daemon. */
  async pid(): Promise<number | undefined> {
    return (await this.#service).daemon.pid;
  }

  holeEnd(offset: number): number {
    return this.#holes.end(offset);
  }

  nextHole(offset: number): number {
    return this.#holes.next(offset);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    for (;;) {
      const service = await this.#ready('read', offset);
      try {
        await service.client.readInto(offset, target);
        return;
      } catch (error) {
        if (!isConnectionError(error)) this.#fail('read', offset, error);
        await this.#giveUp(service);
      }
    }
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    const service = await this.#ready('write', offset);
    this.#holes.remove(offset, data.length);
    await this.#change('write', offset, service, service.client.write(offset, data));
  }

  async zero(offset: number, length: number): Promise<void> {
    const service = await this.#ready('zero', offset);
    const pieces = [...this.#holes.data(offset, length)].flatMap((piece) => [...cut(...piece)]);
    // Zeroing may allocate something in the image: what it touches is no hole any more.
    for (const [from, bytes] of pieces) this.#holes.remove(from, bytes);
    const zeroed = pieces.map(([from, bytes]) => service.client.writeZeroes(from, bytes));
    // Wait for all: one that is still under way could overwrite what is written after a failure.
    await this.#change('zero', offset, service, allDone(zeroed));
  }

  async sync(): Promise<void> {
    const answered = this.#answered;
    const service = await this.#ready('flush', 0);
    try {
      await service.client.flush();
    } catch (error) {
      if (error instanceof NbdCommandError) this.#losses++;
      else await this.#giveUpAfter(error, service);
      this.#fail('flush', 0, error);
    }
    if (service.isLost) this.#fail('flush', 0, new Error('the storage daemon has ended'));
    this.#synced = Math.max(this.#synced, answered);
  }

  /** Settles when the image is closed and others may use it. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const service = await this.#service.catch(() => undefined);
    if (!service || service.isLost) return;
    await service.client.disconnect().catch(() => undefined);
    await service.daemon.stop();
  }

  async #change(
    what: string,
    offset: number,
    service: Service,
    done: Promise<unknown>,
  ): Promise<void> {
    try {
      await done;
    } catch (error) {
      await this.#giveUpAfter(error, service);
      this.#fail(what, offset, error);
    }
    // If the daemon has died in the meantime, the image may not have kept what was written.
    if (service.isLost) this.#fail(what, offset, new Error('the storage daemon has ended'));
    this.#answered++;
  }

  #watch(service: Service): void {
    this.#live = service;
    void service.daemon.ended.then((words) => {
      service.isLost = true;
      this.#live = undefined;
      service.client.destroy();
      if (this.#closing) return;
      if (this.#answered > this.#synced) this.#losses++;
      this.#synced = this.#answered;
      this.#tell(`its storage daemon was lost and is restarted: ${words}`);
      this.#service = this.#restart();
      this.#service.catch(() => undefined);
    });
  }

  async #restart(): Promise<Service> {
    for (;;) {
      if (this.#closing) throw this.#error('closed');
      try {
        const service = await this.serve(this.path, this.options.format);
        if (service.client.sizeBytes !== this.sizeBytes) {
          service.daemon.kill();
          throw this.#error(`its size is ${service.client.sizeBytes} now, not ${this.sizeBytes}`);
        }
        this.#watch(service);
        return service;
      } catch (error) {
        this.#tell(messageOf(error));
        await sleep(RESTART_PAUSE_MS);
      }
    }
  }

  async #ready(what: string, offset: number): Promise<Service> {
    if (this.#live) return this.#live;
    const tooLate = new AbortController();
    try {
      return await Promise.race([
        this.#service,
        sleep(PATIENCE_MS, undefined, { signal: tooLate.signal }).then(() => {
          throw new Error(`no storage daemon for ${PATIENCE_MS} ms`);
        }),
      ]);
    } catch (error) {
      this.#fail(what, offset, error);
    } finally {
      tooLate.abort();
    }
  }

  /** Kills a daemon whose connection is broken; when this settles, its restart has begun. */
  async #giveUp(service: Service): Promise<void> {
    service.daemon.kill();
    await service.daemon.ended;
  }

  async #giveUpAfter(error: unknown, service: Service): Promise<void> {
    if (isConnectionError(error)) await this.#giveUp(service);
  }

  async #findHoles(): Promise<void> {
    const { client } = await this.#service;
    if (!client.hasBlockStatus) return;
    let extents = 0;
    for (let at = 0; at < this.sizeBytes && extents < EXTENTS_MAX;) {
      const length = Math.min(STATUS_BYTES_MAX, this.sizeBytes - at);
      for (const { length: bytes, hole, zero } of await client.blockStatus(at, length)) {
        const known = Math.min(bytes, this.sizeBytes - at);
        if (hole && zero) this.#holes.add(at, known);
        at += known;
        extents++;
      }
    }
  }

  #tell(words: string): void {
    this.options.onTrouble?.(this.#error(words));
  }

  #error(words: string, cause?: unknown): BaseImageError {
    return new BaseImageError(
      'REPLICA_BASE_IO',
      `${this.path}: ${words}`,
      ioRemedy(isNoSpace(cause)),
      {
        cause,
      },
    );
  }

  #fail(what: string, offset: number, error: unknown): never {
    throw this.#error(`${what} at byte ${offset} failed: ${messageOf(error)}`, error);
  }
}

/** Whether the connection is broken. A request that could not be encoded says nothing about it. */
function isConnectionError(error: unknown): boolean {
  return error instanceof NbdError && !(error instanceof NbdCommandError);
}

/** A range in pieces that fit one zero request each. */
function* cut(
  offset: number,
  length: number,
): Generator<readonly [offset: number, length: number]> {
  for (let done = 0; done < length; done += ZERO_BYTES_MAX) {
    yield [offset + done, Math.min(ZERO_BYTES_MAX, length - done)];
  }
}

/** Starts a storage daemon on an image, and connects to it; nobody else can. */
async function startServing(file: string, format: ImageFormat): Promise<Service> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-base-'));
  try {
    const socket = path.join(folder, 'nbd.sock');
    const node = { driver: format, 'node-name': 'image', discard: 'unmap' };
    const image = { ...node, file: await protocolNode(file) };
    const server = { addr: { type: 'unix', path: socket } };
    const served = { type: 'nbd', id: EXPORT, 'node-name': 'image', name: EXPORT, writable: true };
    const daemon = await StorageDaemon.start(file, [
      ...['--blockdev', JSON.stringify(image)],
      ...['--nbd-server', JSON.stringify(server)],
      ...['--export', JSON.stringify(served)],
    ]);
    try {
      const client = await NbdClient.connect({ path: socket }, { export: EXPORT });
      return { daemon, client, isLost: false };
    } catch (error) {
      daemon.kill();
      throw error;
    }
  } finally {
    // The connection outlives the socket's name, so no file is left behind after a crash.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}
