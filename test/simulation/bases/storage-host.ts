// The secondary host's storage daemons: processes that the code under test spawns, the images that
// they have open, and the NBD connections to them. Requests are done in any order, fail and hang
// one by one; a daemon that dies has kept any part of what was not flushed.

import childProcess from 'node:child_process';
import { EventEmitter } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import type { Random } from '@gannet/test-support/random.js';
import type { EventLoop, Pollable } from '../event-loop.js';
import { SimulatedSocket } from '../network.js';
import { ImageServer, type ImageRequest } from './image-server.js';
import { Sparse } from './sparse.js';

/** What goes wrong, as chances for each request, or each turn of the loop. */
export interface StorageFaults {
  errors: number;
  hangs: number;
  deaths: number;
  latencyMs: number;
}

const ERRNOS = [5, 28] as const;
const HANG_MS = 60;

export interface Image {
  readonly sizeBytes: number;
  now: Sparse;
  durable: Sparse;
  /** Done and not flushed. */
  pending: ImageRequest[];
}

interface Due {
  readonly atMs: number;
  readonly daemon: Daemon | undefined;
  readonly run: () => void;
  /** What a daemon that dies may still have done of it. */
  readonly effect: () => void;
}

export class StorageHost implements Pollable {
  readonly images = new Map<string, Image>();
  readonly sockets: SimulatedSocket[] = [];
  #daemons: Daemon[] = [];
  #due: Due[] = [];
  #lastPid = 0;
  /** Raw files whose lock the code under test knows to be lost. */
  readonly #unlocked = new Set<string>();

  constructor(
    readonly loop: EventLoop,
    readonly random: Random,
    readonly faults: StorageFaults,
    /** Makes the file of an image that is created. */
    private readonly createFile: (path: string) => void,
  ) {}

  get daemonCount(): number {
    return this.#daemons.length;
  }

  isUnlocked(path: string): boolean {
    return this.#unlocked.has(path);
  }

  /** A daemon that only holds a lock has it, or is known to have ended. */
  locked(path: string, isHeld: boolean): void {
    if (isHeld) this.#unlocked.delete(path);
    else this.#unlocked.add(path);
  }

  addImage(path: string, sizeBytes: number, contents: Sparse): void {
    this.createFile(path);
    const durable = contents.clone();
    this.images.set(path, { sizeBytes, now: contents, durable, pending: [] });
  }

  isReady(): boolean {
    return this.#due.some(({ atMs }) => atMs <= this.loop.nowMs);
  }

  deliver(): void {
    const due = this.#due.filter(({ atMs }) => atMs <= this.loop.nowMs);
    // A daemon may have been killed in this very poll.
    if (due.length === 0) return;
    const picked = this.random.pick(due);
    this.#due.splice(this.#due.indexOf(picked), 1);
    picked.run();
  }

  /** What happens to daemons by themselves. */
  act(): void {
    if (!this.random.chance(this.faults.deaths)) return;
    if (this.#daemons.length > 0) this.random.pick(this.#daemons).kill('SIGKILL');
  }

  spawn(args: readonly string[]): Daemon {
    const daemon = new Daemon(this, ++this.#lastPid, args);
    this.#daemons.push(daemon);
    this.after(daemon, 1, () => daemon.start());
    return daemon;
  }

  connect(path: string): SimulatedSocket {
    const socket = new SimulatedSocket('base', this.loop, this.random, true);
    const daemon = this.#daemons.find(({ socketPath }) => socketPath === path);
    if (!daemon) throw new Error(`nobody listens at ${path}`);
    this.sockets.push(socket);
    // As net.connect() has it by default: not half open.
    socket.on('end', () => socket.destroy());
    daemon.accept(socket);
    return socket;
  }

  after(daemon: Daemon | undefined, ms: number, run: () => void, effect = run): void {
    const atMs = this.loop.nowMs + this.random.next() * ms;
    this.#due.push({ atMs, daemon, run, effect });
  }

  isBusy(daemon: Daemon): boolean {
    return this.#due.some((due) => due.daemon === daemon);
  }

  /** A daemon ends: each request under way was done, or not. */
  drop(daemon: Daemon): void {
    this.#daemons = this.#daemons.filter((other) => other !== daemon);
    const own = this.#due.filter((due) => due.daemon === daemon);
    this.#due = this.#due.filter((due) => due.daemon !== daemon);
    for (const { effect } of own) if (this.random.chance(0.5)) effect();
  }

  /** The process under test is gone. Its daemons are told to end, unless their host went too. */
  crash(isHost: boolean): void {
    for (const daemon of this.#daemons) {
      this.drop(daemon);
      if (!isHost && daemon.image) flush(daemon.image);
    }
    this.#due = [];
    if (isHost) for (const image of this.images.values()) this.forget(image);
  }

  /** Of what was not flushed, any part is kept. */
  forget(image: Image): void {
    const kept = this.random.next();
    for (const change of image.pending.splice(0)) {
      if (this.random.chance(kept)) apply(image.durable, change);
    }
    image.now = image.durable.clone();
  }
}

interface Node {
  readonly filename?: string;
  readonly file?: { readonly filename: string };
}

class Stream extends EventEmitter {
  setEncoding(): this {
    return this;
  }

  resume(): this {
    return this;
  }
}

/** A child process that is a qemu-storage-daemon. */
class Daemon extends EventEmitter {
  readonly stdin = new Stream();
  readonly stdout = new Stream();
  readonly stderr = new Stream();
  readonly socketPath: string | undefined;
  readonly #file: string | undefined;
  /** It has no format, and only holds locks. */
  readonly #lockedFile: string | undefined;
  #sockets: SimulatedSocket[] = [];
  #isOver = false;
  #isEnding = false;

  constructor(
    private readonly host: StorageHost,
    readonly pid: number,
    args: readonly string[],
  ) {
    super();
    const option = (name: string): string | undefined => args[args.indexOf(name) + 1];
    const node = JSON.parse(option('--blockdev') ?? '{}') as Node;
    this.#file = node.file?.filename;
    this.#lockedFile = node.filename;
    const server = args.includes('--nbd-server') ? option('--nbd-server') : undefined;
    const address = JSON.parse(server ?? '{}') as { addr?: { path: string } };
    this.socketPath = address.addr?.path;
  }

  get image(): Image | undefined {
    return this.#file === undefined ? undefined : this.host.images.get(this.#file);
  }

  start(): void {
    if (this.#isOver) return;
    if (!this.host.random.chance(this.host.faults.errors)) {
      if (this.#lockedFile !== undefined) this.host.locked(this.#lockedFile, true);
      this.stdout.emit('data', 'greeting');
      return;
    }
    this.stderr.emit('data', 'qemu-storage-daemon: Could not open: Input/output error');
    this.#end(1, null);
  }

  accept(socket: SimulatedSocket): void {
    this.#sockets.push(socket);
    const { image } = this;
    if (!image) throw new Error('it has no image');
    new ImageServer(socket, image.sizeBytes, (request) => this.#serve(image, request));
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): boolean {
    if (signal === 'SIGKILL') {
      this.#die(null, signal);
      return true;
    }
    this.#isEnding = true;
    this.#endIfIdle();
    return true;
  }

  #serve(image: Image, request: ImageRequest): void {
    const { random, faults } = this.host;
    const latencyMs = random.chance(faults.hangs) ? HANG_MS : faults.latencyMs;
    const fails = request.command !== 'read' && random.chance(faults.errors);
    const effect = (): void => {
      if (!fails) take(image, request);
    };
    const run = (): void => {
      effect();
      const data = request.command === 'read' ? image.now.read(request.offset, request.length) : '';
      request.answer(fails ? random.pick(ERRNOS) : 0, Buffer.from(data));
      this.#endIfIdle();
    };
    this.host.after(this, latencyMs, run, effect);
  }

  #endIfIdle(): void {
    if (!this.#isEnding || this.#isOver || this.host.isBusy(this)) return;
    if (this.image) flush(this.image);
    this.#end(0, null);
  }

  #die(code: number | null, signal: string | null): void {
    if (this.#isOver) return;
    this.host.drop(this);
    if (this.image) this.host.forget(this.image);
    this.#end(code, signal);
  }

  #end(code: number | null, signal: string | null): void {
    this.#isOver = true;
    this.host.drop(this);
    for (const socket of this.#sockets) socket.cut('fin');
    this.host.after(undefined, 1, () => {
      if (this.#lockedFile !== undefined) this.host.locked(this.#lockedFile, false);
      this.emit('close', code, signal);
    });
  }
}

function take(image: Image, request: ImageRequest): void {
  if (request.command === 'flush') flush(image);
  if (request.command !== 'write' && request.command !== 'writeZeroes') return;
  apply(image.now, request);
  image.pending.push(request);
}

function apply(contents: Sparse, { command, offset, length, data }: ImageRequest): void {
  if (command === 'write') contents.write(offset, data);
  else contents.zero(offset, length);
}

function flush(image: Image): void {
  for (const change of image.pending.splice(0)) apply(image.durable, change);
}

let current: StorageHost | undefined;

/** From here on, what is spawned and connected is this host's. */
export function useStorageHost(host: StorageHost): void {
  current = host;
}

function host(): StorageHost {
  if (!current) throw new Error('no simulated host is there');
  return current;
}

/** Replaces what the code under test uses of processes and sockets. */
export function installStorageHost(): void {
  Object.assign(childProcess, {
    spawn: (_command: string, args: readonly string[]) => host().spawn(args),
    execFile: (
      _program: string,
      args: readonly string[],
      _options: object,
      done: (error: null, output: { stdout: string; stderr: string }) => void,
    ) => {
      // qemu-img create … PATH SIZE
      const [path = '', size] = args.slice(-2);
      host().addImage(path, Number(size), new Sparse());
      done(null, { stdout: '', stderr: '' });
    },
  });
  Object.assign(net, { connect: ({ path }: { path: string }) => host().connect(path) });
  Object.assign(os, { tmpdir: () => '/sim' });
  syncBuiltinESMExports();
}
