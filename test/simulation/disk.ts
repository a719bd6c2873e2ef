// A file system that can be pulled the plug on: what was not synced may survive, in whole sectors
// and in any combination, or not; names likewise, in their order. It answers as node:fs/promises
// does, for files under /sim.

import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import type { EventLoop, Pollable } from './event-loop.js';
import type { Random } from '@gannet/test-support/random.js';

const SECTOR_BYTES = 512;

interface Pending {
  readonly offset: number;
  readonly data: Buffer;
}

let inodes = 0n;

class Inode {
  readonly number = ++inodes;
  isSpill = false;
  data = Buffer.alloc(0);
  durable = Buffer.alloc(0);
  pending: (Pending | { readonly length: number })[] = [];

  write(offset: number, data: Buffer): void {
    this.resize(Math.max(this.data.length, offset + data.length));
    data.copy(this.data, offset);
    this.pending.push({ offset, data: Buffer.from(data) });
  }

  resize(length: number): void {
    if (length === this.data.length) return;
    const resized = Buffer.alloc(length);
    this.data.copy(resized);
    this.data = resized;
    this.pending.push({ length });
  }

  sync(): void {
    this.durable = Buffer.from(this.data);
    this.pending = [];
  }

  /** What is on the disk after a power cut. */
  crash(random: Random): void {
    const keeps = random.next();
    for (const change of this.pending) {
      if ('length' in change) this.#resizeDurable(change.length, random.chance(keeps));
      else this.#keepSectors(change, random, keeps);
    }
    this.data = Buffer.from(this.durable);
    this.pending = [];
  }

  #resizeDurable(length: number, isKept: boolean): void {
    if (!isKept) return;
    const resized = Buffer.alloc(length);
    this.durable.copy(resized);
    this.durable = resized;
  }

  #keepSectors({ offset, data }: Pending, random: Random, keeps: number): void {
    for (let at = offset; at < offset + data.length;) {
      const end = Math.min(offset + data.length, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
      if (random.chance(keeps)) {
        if (this.durable.length < end) this.#resizeDurable(end, true);
        data.copy(this.durable, at, at - offset, end - offset);
      }
      at = end;
    }
  }
}

export interface DiskFaults {
  /** Chance that an operation fails; reads and the opening of what is there never do. */
  errors: number;
  /** Chance that a write does less than it was told. */
  shortWrites: number;
  /** Longest an operation takes, in simulated milliseconds. */
  latencyMs: number;
  /** A sync does nothing: a mutant. */
  lazySync: boolean;
  /** A write that did less than it was told says that it did all: a mutant. */
  shortIsWhole: boolean;
  /** Spill files keep nothing: a mutant. */
  lossySpill: boolean;
  /** Half of the renames say that they are done, and are not: a mutant. */
  lostRename?: boolean;
}

interface Operation {
  readonly atMs: number;
  /** Does it, to the disk. */
  readonly effect: () => void;
  /** Tells who waits for it. */
  readonly settle: () => void;
}

export class SimulatedDisk implements Pollable {
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #namePending: ((names: Map<string, Inode>) => void)[] = [];
  #operations: Operation[] = [];
  /** Files and folders that the process has open. */
  openHandles = 0;
  /** Told the path of what is about to be written. */
  onWrite: (path: string) => void = () => undefined;
  /** How many have ended. What one had open says nothing to the next. */
  processes = 0n;

  constructor(
    private readonly loop: Pick<EventLoop, 'nowMs'>,
    private readonly random: Random,
    readonly faults: DiskFaults,
  ) {}

  isReady(): boolean {
    return this.#operations.some(({ atMs }) => atMs <= this.loop.nowMs);
  }

  deliver(): void {
    const due = this.#operations.filter(({ atMs }) => atMs <= this.loop.nowMs);
    const picked = this.random.pick(due);
    this.#operations.splice(this.#operations.indexOf(picked), 1);
    picked.effect();
    picked.settle();
  }

  /** Ends all operations under way: nobody is there any more to hear of them. */
  crash(kind: 'close' | 'process' | 'power'): void {
    // What was under way may have been done, or not.
    for (const { effect } of this.#operations.splice(0)) if (this.random.chance(0.5)) effect();
    this.openHandles = 0;
    if (kind !== 'close') this.processes++;
    if (kind !== 'power') return;
    const kept = this.random.below(this.#namePending.length + 1);
    for (const change of this.#namePending.splice(0).slice(0, kept)) change(this.#durableNames);
    this.#names = new Map(this.#durableNames);
    for (const inode of new Set(this.#names.values())) inode.crash(this.random);
  }

  contents(path: string): Buffer | undefined {
    const data = this.#names.get(path)?.data;
    return data && Buffer.from(data);
  }

  /** Settles when the disk has done it. */
  perform<T>(work: () => T, canFail = false): Promise<T> {
    const atMs = this.loop.nowMs + this.random.next() * this.faults.latencyMs;
    return new Promise<T>((resolve, reject) => {
      let settle = (): void => undefined;
      const effect = (): void => {
        try {
          if (canFail && this.random.chance(this.faults.errors)) {
            throw systemError(this.random.pick(['EIO', 'ENOSPC']));
          }
          const result = work();
          settle = () => resolve(result);
        } catch (error) {
          settle = () => reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      this.#operations.push({ atMs, effect, settle: () => settle() });
    });
  }

  async open(path: string, flags: string | number): Promise<Handle> {
    const wanted = typeof flags === 'number' ? (flags & 0o100 ? 'a' : 'r') : flags;
    const handle = await this.perform(() => {
      if (path.endsWith('/sim') || path === '/sim') return new Handle(this, undefined);
      let inode = this.#names.get(path);
      if (inode && wanted === 'wx') throw systemError('EEXIST');
      if (!inode) {
        if (wanted === 'r') throw systemError('ENOENT');
        inode = new Inode();
        inode.isSpill = path.endsWith('.spill');
        this.#rename((names) => names.set(path, inode as Inode));
      } else if (wanted === 'w+') inode.resize(0);
      return new Handle(this, inode, path);
    }, wanted.startsWith('w'));
    this.openHandles++;
    return handle;
  }

  readFile(path: string): Promise<string> {
    return this.perform(() => {
      const inode = this.#names.get(path);
      if (!inode) throw systemError('ENOENT');
      return inode.data.toString('utf8');
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.perform(() => {
      const inode = this.#names.get(from);
      if (!inode) throw systemError('ENOENT');
      if (this.faults.lostRename && this.random.chance(0.5)) return;
      this.#rename((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    }, true);
  }

  remove(path: string): Promise<void> {
    return this.perform(() => this.#rename((names) => names.delete(path)), true);
  }

  exists(path: string): Promise<object> {
    return this.perform(() => {
      if (!this.#names.has(path)) throw systemError('ENOENT');
      return { isBlockDevice: () => false };
    });
  }

  /** A folder of that name is there from now on. */
  makeFolder(prefix: string): Promise<string> {
    return this.perform(() => `${prefix}${this.random.below(1e6)}`, true);
  }

  /** Another program makes a file; it is empty here, and survives. */
  createForOther(path: string): void {
    this.#names.set(path, new Inode());
    this.#durableNames.set(path, new Inode());
  }

  syncNames(): void {
    this.#namePending = [];
    this.#durableNames = new Map(this.#names);
  }

  shortened(length: number): number {
    return this.random.chance(this.faults.shortWrites) ? 1 + this.random.below(length) : length;
  }

  #rename(change: (names: Map<string, Inode>) => void): void {
    change(this.#names);
    this.#namePending.push(change);
  }
}

/** The part of FileHandle that is used. Without an inode it is a folder. */
class Handle {
  #isOpen = true;

  constructor(
    private readonly disk: SimulatedDisk,
    private readonly inode: Inode | undefined,
    private readonly path = '',
  ) {}

  read(target: Buffer, at: number, length: number, position: number): Promise<object> {
    return this.disk.perform(() => {
      const { data } = this.#file;
      const end = Math.min(data.length, position + length);
      const bytesRead = end > position ? data.copy(target, at, position, end) : 0;
      return { bytesRead, buffer: target };
    });
  }

  write(source: Buffer, at: number, length: number, position: number): Promise<object> {
    this.disk.onWrite(this.path);
    return this.disk.perform(() => {
      const bytesWritten = length > 0 ? this.disk.shortened(length) : 0;
      const data = Buffer.from(source.subarray(at, at + bytesWritten));
      if (this.disk.faults.lossySpill && this.#file.isSpill) data.fill(0);
      this.#file.write(position, data);
      const said = this.disk.faults.shortIsWhole ? length : bytesWritten;
      return { bytesWritten: said, buffer: source };
    }, true);
  }

  writeFile(text: string): Promise<void> {
    return this.disk.perform(() => this.#file.write(0, Buffer.from(text)), true);
  }

  truncate(length: number): Promise<void> {
    this.disk.onWrite(this.path);
    return this.disk.perform(() => this.#file.resize(length), true);
  }

  datasync(): Promise<void> {
    return this.sync();
  }

  sync(): Promise<void> {
    return this.disk.perform(() => {
      if (!this.#isOpen) throw systemError('EBADF');
      if (this.disk.faults.lazySync) return;
      if (this.inode) this.inode.sync();
      else this.disk.syncNames();
    }, true);
  }

  stat(): Promise<object> {
    return this.disk.perform(() => {
      const { data, number: ino } = this.#file;
      const identity = { dev: this.disk.processes, ino };
      const kind = { isFile: () => true, isBlockDevice: () => false };
      return { size: BigInt(data.length), blocks: 0n, ...identity, ...kind };
    });
  }

  close(): Promise<void> {
    if (this.#isOpen) this.disk.openHandles--;
    this.#isOpen = false;
    return Promise.resolve();
  }

  get #file(): Inode {
    if (!this.#isOpen) throw systemError('EBADF');
    if (!this.inode) throw systemError('EISDIR');
    return this.inode;
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

let mounted: SimulatedDisk | undefined;

export function mount(disk: SimulatedDisk): void {
  mounted = disk;
}

/**
 * Replaces what the replicator uses of node:fs/promises: while a simulated disk is there, nothing
 * else is.
 */
export function installDisk(): void {
  const { access, mkdtemp, open, readFile, rename, rm, stat } = fs;
  const on = <T>(
    path: unknown,
    work: (disk: SimulatedDisk, path: string) => Promise<T>,
    real: () => Promise<T>,
  ): Promise<T> => {
    if (!mounted) return real();
    const name = String(path);
    return name.startsWith('/sim') ? work(mounted, name) : Promise.reject(systemError('ENOENT'));
  };
  Object.assign(fs, {
    open: (path: string, flags: string | number = 'r', mode?: number) =>
      on<unknown>(
        path,
        (disk, name) => disk.open(name, flags),
        () => open(path, flags, mode),
      ),
    readFile: (path: string, how?: BufferEncoding) =>
      on<unknown>(
        path,
        (disk, name) => disk.readFile(name),
        () => readFile(path, how),
      ),
    rename: (from: string, to: string) =>
      on(
        from,
        (disk, name) => disk.rename(name, to),
        () => rename(from, to),
      ),
    rm: (path: string) =>
      on(
        path,
        (disk, name) => disk.remove(name),
        () => rm(path),
      ),
    access: (path: string) =>
      on<unknown>(
        path,
        (disk, name) => disk.exists(name),
        () => access(path),
      ),
    mkdtemp: (prefix: string) =>
      on(
        prefix,
        (disk, name) => disk.makeFolder(name),
        () => mkdtemp(prefix),
      ),
    stat: (path: string) =>
      on<unknown>(
        path,
        (disk, name) => disk.exists(name),
        () => stat(path),
      ),
  });
  syncBuiltinESMExports();
}
