/** A seed without a guest: a disk, a replica, and a cable between them that can be cut. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { NbdClient, NbdServer } from '@gannet/nbd';
import type { DiskLink, SeedProgress } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

export const MIB = 1024 * 1024;

/** Longer than anything here takes. */
const PATIENCE_MS = 60_000;

/** A new folder for each test: images, bases and sockets. */
export let dir: string;
let undo: (() => unknown)[] = [];
export const at = (name: string): string => path.join(dir, name);

/** To be undone after the test, the last one first. */
export function undoAfter(step: () => unknown): void {
  undo.push(step);
}

/** Each test of the file that calls this has its folder, and leaves nothing behind. */
export function inFreshFolder(): void {
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-seed-'));
    undo = [() => rm(dir, { recursive: true, force: true })];
  });
  afterEach(async () => {
    for (const step of undo.reverse()) await step();
  });
}

export const { until } = waiting({ patienceMs: PATIENCE_MS, pollMs: 5 });

/**
 * What runs between the hosts: can be cut, and can swallow everything without a word. TCP, because
 * a sender that is blocked on a full unix socket is not freed by a yank: poll() says POLLHUP, and
 * QEMU waits for POLLOUT.
 */
export class Cable {
  #server: Server | undefined;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isHung = false;
  /** Bytes from the primary, over all connections. */
  bytes = 0;

  constructor(
    private readonly to: string,
    public port = 0,
  ) {}

  async plug(): Promise<this> {
    this.#isHung = false;
    this.#server = createServer((near) => this.#join(near)).listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Each connection ends, nobody gets through. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  /** Connections stay, and nothing gets through them any more; new ones do. */
  hang(): void {
    for (const pair of this.#pairs)
      for (const socket of pair) socket.pause().removeAllListeners('data');
    this.#isHung = true;
  }

  heal(): void {
    this.#isHung = false;
  }

  #join(near: Socket): void {
    const far = connect(this.to);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    if (this.#isHung) return;
    near.on('data', (data) => {
      this.bytes += data.length;
      if (!far.write(data)) near.pause();
    });
    far.on('drain', () => near.resume());
    far.on('data', (data) => near.write(data));
    for (const [one, other] of [pair, [far, near] as const]) {
      one.on('error', () => one.destroy());
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}

/**
 * A QEMU without a machine: one disk, and an NBD export of it through which a guest's writes come.
 */
export class Source {
  private constructor(
    readonly qmp: QmpClient,
    readonly guest: NbdClient,
    readonly image: string,
  ) {}

  static async start(image: string): Promise<Source> {
    const socket = at('source.qmp');
    const child = spawn('setpriv', [
      ...['--pdeathsig', 'KILL', 'qemu-system-x86_64', '-machine', 'none', '-nodefaults'],
      ...['-display', 'none', '-qmp', `unix:${socket},server=on,wait=off`],
      ...['-drive', `if=none,id=drive0,format=raw,node-name=node0,file=${image}`],
    ]);
    undoAfter(() => end(child));
    const qmp = await until(
      () => QmpClient.connect({ target: { kind: 'unix', path: socket } }).catch(() => undefined),
      (client) => client !== undefined,
    );
    if (!qmp) throw new Error('no QMP');
    undoAfter(() => qmp.close());
    const address = { type: 'unix', data: { path: at('guest.nbd') } } as const;
    await qmp.execute('nbd-server-start', { addr: address });
    const exported = { type: 'nbd', id: 'guest', 'node-name': 'node0', name: 'guest' } as const;
    await qmp.execute('block-export-add', { ...exported, writable: true });
    const guest = await NbdClient.connect({ path: at('guest.nbd') }, { export: 'guest' });
    undoAfter(() => guest.disconnect());
    return new Source(qmp, guest, image);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

export async function makeImage(name: string, bytes: number, dataBytes: number): Promise<string> {
  const file = await open(at(name), 'wx');
  await file.truncate(bytes);
  const chunk = Buffer.alloc(MIB);
  for (let offset = 0; offset < dataBytes; offset += MIB) {
    await file.write(randomFillSync(chunk), 0, MIB, offset);
  }
  await file.close();
  return at(name);
}

/** A replicator in this process, behind a cable. */
export async function replicator(bytes: number, overwrite = false, samePort = 0) {
  const disks = [{ name: 'disk0', base: at('base.raw'), sizeBytes: bytes }];
  const replica = await Replica.open({ vm: 'vm', disks, overwrite });
  const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
  await server.listen({ path: at('replica.nbd') });
  undoAfter(async () => {
    await server.close();
    await replica.close();
  });
  const cable = await new Cable(at('replica.nbd'), samePort).plug();
  port = cable.port;
  undoAfter(() => cable.cut());
  return { replica, server, cable };
}

/** Of the last cable. */
let port = 0;

export function link(changes: Partial<DiskLink> = {}): DiskLink {
  return {
    ...{ id: 'g0', device: 'drive0', link: 'mirror', export: 'pvm' },
    server: { type: 'inet', host: '127.0.0.1', port },
    seedExports: { begin: 'pvm-seed', resume: 'pvm-resume', link: 'pvm-link' },
    ...changes,
  };
}

export const graphOf = async (qmp: QmpClient): Promise<unknown> => {
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
  const jobs = await qmp.execute('query-block-jobs');
  return [nodes.map((node) => [node['node-name'], node.drv]), jobs];
};

export async function expectEqual(source: Source): Promise<void> {
  const [one, other] = await Promise.all([readFile(source.image), readFile(at('base.raw'))]);
  expect(one.equals(other)).toBe(true);
}

/** What a seed tells, and places to do something at. */
export function watch() {
  const seen: SeedProgress[] = [];
  const onProgress = (progress: SeedProgress): void => void seen.push(progress);
  const reached = (share: number): Promise<unknown> =>
    until(
      () => seen.at(-1),
      (last) =>
        last !== undefined && last.totalBytes > 0 && last.doneBytes >= share * last.totalBytes,
    );
  return { seen, onProgress, reached };
}

export const SEED = { speedBytesPerSec: 12 * MIB, linkStallMs: 1000 };
