import { type ChildProcess, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { type DiskLink, PrimaryDriver, type SeedProgress } from '@gannet/qmp-driver';
import { recoverBases, Replica } from '@gannet/replicator';
import { findGuest, LabDaemon, LabPair } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

const MIB = 1024 * 1024;
const BIN = path.resolve(
  import.meta.dirname,
  '..',
  '..',
  '..',
  'packages',
  'gannet',
  'dist',
  'bin.js',
);
/** Longer than anything here takes. */
const PATIENCE_MS = 60_000;

let undo: (() => unknown)[] = [];
let dir: string;
const at = (name: string): string => path.join(dir, name);

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-seed-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

const { until } = waiting({ patienceMs: PATIENCE_MS, pollMs: 5 });

/**
 * What runs between the hosts: can be cut, and can swallow everything without a word. TCP, because
 * a sender that is blocked on a full unix socket is not freed by a yank: poll() says POLLHUP, and
 * QEMU waits for POLLOUT.
 */
class Cable {
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
class Source {
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
    undo.push(() => end(child));
    const qmp = await until(
      () => QmpClient.connect({ target: { kind: 'unix', path: socket } }).catch(() => undefined),
      (client) => client !== undefined,
    );
    if (!qmp) throw new Error('no QMP');
    undo.push(() => qmp.close());
    const address = { type: 'unix', data: { path: at('guest.nbd') } } as const;
    await qmp.execute('nbd-server-start', { addr: address });
    const exported = { type: 'nbd', id: 'guest', 'node-name': 'node0', name: 'guest' } as const;
    await qmp.execute('block-export-add', { ...exported, writable: true });
    const guest = await NbdClient.connect({ path: at('guest.nbd') }, { export: 'guest' });
    undo.push(() => guest.disconnect());
    return new Source(qmp, guest, image);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

async function makeImage(name: string, bytes: number, dataBytes: number): Promise<string> {
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
async function replicator(bytes: number, overwrite = false, samePort = 0) {
  const disks = [{ name: 'disk0', base: at('base.raw'), sizeBytes: bytes }];
  const replica = await Replica.open({ vm: 'vm', disks, overwrite });
  const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
  await server.listen({ path: at('replica.nbd') });
  undo.push(async () => {
    await server.close();
    await replica.close();
  });
  const cable = await new Cable(at('replica.nbd'), samePort).plug();
  port = cable.port;
  undo.push(() => cable.cut());
  return { replica, server, cable };
}

/** Of the last cable. */
let port = 0;

function link(changes: Partial<DiskLink> = {}): DiskLink {
  return {
    ...{ id: 'g0', device: 'drive0', link: 'mirror', export: 'pvm' },
    server: { type: 'inet', host: '127.0.0.1', port },
    seedExports: { begin: 'pvm-seed', resume: 'pvm-resume', link: 'pvm-link' },
    ...changes,
  };
}

const graphOf = async (qmp: QmpClient): Promise<unknown> => {
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
  const jobs = await qmp.execute('query-block-jobs');
  return [nodes.map((node) => [node['node-name'], node.drv]), jobs];
};

async function expectEqual(source: Source): Promise<void> {
  const [one, other] = await Promise.all([readFile(source.image), readFile(at('base.raw'))]);
  expect(one.equals(other)).toBe(true);
}

/** What a seed tells, and places to do something at. */
function watch() {
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

const SEED = { speedBytesPerSec: 12 * MIB, linkStallMs: 1000 };

describe('a seed whose link breaks', () => {
  it('resumes where it stopped, the guest undisturbed; a link lost afterwards is final', async () => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 48 * MIB));
    const before = await graphOf(source.qmp);
    const { replica, cable } = await replicator(64 * MIB);
    const failures: string[] = [];
    const driver = new PrimaryDriver(source.qmp, {
      pollMs: 20,
      onLinkFailure: ({ message }) => failures.push(message),
    });
    const { seen, onProgress, reached } = watch();
    const seeding = driver.seed([link()], { ...SEED, onProgress });
    seeding.catch(() => undefined);

    await reached(0.3);
    await cable.cut();
    await source.guest.write(MIB, Buffer.alloc(MIB, 0xa1));
    await source.guest.write(60 * MIB, Buffer.alloc(4096, 0xa2));
    await until(
      () => seen.at(-1)?.down,
      (down) => down !== undefined && down.forMs > 0,
    );
    expect(replica.state).toBe('seeding');
    expect(replica.link.loss).toBeUndefined();
    await cable.plug();

    await reached(0.6);
    cable.hang();
    // Hangs with the link, and comes back when the link is cut.
    await source.guest.write(2 * MIB, Buffer.alloc(MIB, 0xa3));
    cable.heal();
    await driver.setSeedSpeed(0);
    await seeding;
    // Twice the size would mean that the copy began again.
    expect(cable.bytes).toBeLessThan(48 * MIB * 1.7);
    await driver.attach([link()]);
    await source.guest.write(3 * MIB, Buffer.alloc(MIB, 0xa4));
    expect(failures).toEqual([]);
    expect(replica.link.loss).toBeUndefined();
    await expectEqual(source);

    await cable.cut();
    await source.guest.write(3 * MIB, Buffer.alloc(MIB, 0xa5));
    await source.qmp.execute('query-status');
    expect(failures).toHaveLength(1);
    await until(
      () => replica.link.loss,
      (loss) => loss !== undefined,
    );
    await cable.plug();
    await driver.rollback();
    expect(await graphOf(source.qmp)).toEqual(before);
  });

  it('that broke when it was READY is not complete before what it missed is there', async () => {
    const source = await Source.start(await makeImage('disk.raw', 8 * MIB, 8 * MIB));
    const { cable } = await replicator(8 * MIB);
    // The second disk holds the seed open: a copy of a file in this process, slow.
    const slow = await makeImage('slow.raw', 48 * MIB, 48 * MIB);
    const other = await Replica.open({
      vm: 'vm',
      disks: [{ name: 'disk1', base: at('other.raw'), sizeBytes: 48 * MIB }],
    });
    const server = new NbdServer({ exports: other.exports, admission: other.gate });
    await server.listen({ path: at('other.nbd') });
    undo.push(async () => {
      await server.close();
      await other.close();
    });
    await source.qmp.executeRaw('human-monitor-command', {
      'command-line': `drive_add 0 if=none,id=drive1,format=raw,file=${slow}`,
    });
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { seen, onProgress } = watch();
    const second = link({
      id: 'g1',
      device: 'drive1',
      server: { type: 'unix', path: at('other.nbd') },
    });
    const seeding = driver.seed([link(), second], { speedBytesPerSec: 6 * MIB, onProgress });
    await until(
      async () =>
        (await source.qmp.execute('query-block-jobs')).find(({ device }) => device === 'g0-seed'),
      (job) => job?.ready === true,
    );
    await cable.cut();
    await source.guest.write(MIB, Buffer.alloc(MIB, 0xb1));
    await source.guest.write(5 * MIB, Buffer.alloc(MIB, 0xb2));
    await driver.setSeedSpeed(0);
    await until(
      () => seen.some(({ down }) => down !== undefined),
      (isDown) => isDown,
    );
    await cable.plug();
    await seeding;
    await driver.attach([link(), second]);
    await expectEqual(source);
    await driver.rollback();
  });

  it('fails when the link stays away, and the graph is the one that was there', async () => {
    const source = await Source.start(await makeImage('disk.raw', 32 * MIB, 32 * MIB));
    const before = await graphOf(source.qmp);
    const { cable } = await replicator(32 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const seeding = driver.seed([link()], { ...SEED, onProgress, linkTimeoutMs: 600 });
    seeding.catch(() => undefined);
    await reached(0.3);
    await cable.cut();
    await source.guest.write(0, Buffer.alloc(MIB, 1));
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_DEADLINE',
      message: 'reaching the replicator again for drive0 took longer than 600 ms',
    });
    await driver.rollback();
    expect(await graphOf(source.qmp)).toEqual(before);
    await cable.plug();
    // A new attempt begins a new copy on the same replica.
    await driver.seed([link()]);
    await driver.attach([link()]);
    await expectEqual(source);
    await driver.rollback();
  });

  it.each([
    ['in the middle', 0.3],
    ['at the end', 1],
  ])('begins again if the replicator was restarted %s', async (_when, share) => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 64 * MIB));
    const first = await replicator(64 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const limit = share === 1 ? {} : SEED;
    const seeding = driver.seed([link()], { ...limit, onProgress });
    seeding.catch(() => undefined);
    if (share === 1) await seeding;
    await reached(share);
    await first.cable.cut();
    await first.server.close();
    await first.replica.close();
    await replicator(64 * MIB, false, first.cable.port);
    // It can not know what it has. A primary that writes nothing has not even noticed.
    const going = share === 1 ? driver.attach([link()]) : seeding;
    await expect(going).rejects.toThrow('Denied by server');
    await driver.rollback();
  });
});

/** Bytes that the file takes on its file system. */
const allocated = async (file: string): Promise<number> => (await stat(file)).blocks * 512;

describe('a sparse disk', () => {
  it.each([
    ['a new base', false],
    ['a base full of other data', true],
  ])(
    'of 10 GiB with 64 MiB of data stays sparse on %s, and out of memory',
    async (_what, isOld) => {
      const source = await Source.start(await makeImage('disk.raw', 10 * 1024 * MIB, 64 * MIB));
      if (isOld) {
        const old = await open(await makeImage('base.raw', 10 * 1024 * MIB, 96 * MIB), 'r+');
        await old.write(Buffer.alloc(MIB, 7), 0, MIB, 5 * 1024 * MIB);
        await old.close();
        expect(await allocated(at('base.raw'))).toBeGreaterThan(96 * MIB);
      }
      const { replica } = await replicator(10 * 1024 * MIB, isOld);
      let bufferedBytes = 0;
      const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
      await driver.seed([link()], {
        onProgress: () => {
          const { primary, secondary, committed } = replica.bufferBytes;
          bufferedBytes = Math.max(bufferedBytes, primary + secondary + committed);
        },
      });
      await driver.attach([link()]);
      expect(bufferedBytes).toBe(0);
      expect(await allocated(at('base.raw'))).toBeLessThan(72 * MIB);
      const base = await open(at('base.raw'), 'r');
      const image = await open(source.image, 'r');
      for (const offset of [0, 63 * MIB, 64 * MIB, 95 * MIB, 5 * 1024 * MIB]) {
        const [one, other] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
        await base.read(one, 0, MIB, offset);
        await image.read(other, 0, MIB, offset);
        expect(one.equals(other)).toBe(true);
      }
      await base.close();
      await image.close();
      await driver.rollback();
    },
  );
});

describe('the speed limit', () => {
  it('is what QEMU has, and can be changed and lifted while it copies', async () => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 64 * MIB));
    await replicator(64 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached, seen } = watch();
    const seeding = driver.seed([link()], { speedBytesPerSec: 8 * MIB, onProgress });
    const speed = async (): Promise<number | undefined> =>
      (await source.qmp.execute('query-block-jobs'))[0]?.speed;
    await reached(0.01);
    expect(await speed()).toBe(8 * MIB);
    await driver.setSeedSpeed(16 * MIB);
    expect(await speed()).toBe(16 * MIB);
    await driver.setSeedSpeed(0);
    expect(await speed()).toBe(0);
    await seeding;
    expect(new Set(seen.map(({ limitBytesPerSec }) => limitBytesPerSec)).has(8 * MIB)).toBe(true);
    await driver.rollback();
  });
});

function secondaryConfig(): { control: string; [key: string]: unknown } {
  return {
    vm: 'vm',
    control: at('secondary.ctl'),
    qmp: `unix:${at('nobody.qmp')}`,
    disks: [{ name: 'disk0', device: 'drive0', base: at('base.raw'), size: 32 * MIB }],
    secondary: { nbd: `unix:${at('replica.nbd')}`, peer: `unix:${at('peer.sock')}` },
  };
}

async function startSecondary(): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({
    role: 'secondary',
    dir,
    config: secondaryConfig(),
    bin: BIN,
  });
  undo.push(() => daemon.kill('SIGKILL'));
  return daemon;
}

describe('a secondary daemon that is killed', () => {
  it('in the middle of a seed leaves a base that is not a disk; a new one starts over', async () => {
    const source = await Source.start(await makeImage('disk.raw', 32 * MIB, 32 * MIB));
    const first = await startSecondary();
    const direct = link({ server: { type: 'unix', path: at('replica.nbd') } });
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const seeding = driver.seed([direct], { ...SEED, onProgress });
    seeding.catch(() => undefined);
    await reached(0.3);
    await first.kill('SIGKILL');
    const record = JSON.parse(await readFile(at('base.raw.gannet'), 'utf8')) as { state: string };
    expect(record.state).toBe('seeding');
    await expect(recoverBases([{ name: 'disk0', base: at('base.raw') }])).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
      remedy: expect.stringContaining('can only be seeded again') as unknown,
    });

    const second = await startSecondary();
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_SEED_FAILED' });
    await driver.rollback();
    await driver.seed([direct]);
    await driver.attach([direct]);
    await expectEqual(source);

    // Right after the seed, before anything was committed: the base may be whole, but nobody can
    // tell.
    await second.kill('SIGKILL');
    await expect(recoverBases([{ name: 'disk0', base: at('base.raw') }])).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
    await driver.rollback();
  });
});

describe('gannet protect', () => {
  it('survives a cut link while it seeds; status shows it; failover shows every write', async () => {
    const cables: Cable[] = [];
    await using pair = await LabPair.create({
      guest: await findGuest(),
      diskMb: 96,
      fillMb: 64,
      link: 'replication',
      config: (role) =>
        role === 'primary' ? { primary: primarySection(pair.dir, cables[0]?.port) } : {},
    });
    const cable = await new Cable(path.join(pair.dir, 'replica0.nbd')).plug();
    cables.push(cable);
    undo.push(() => cable.cut());
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const client = pair.primaryDaemon.client;
    interface Seed {
      readonly doneBytes: number;
      readonly limitBytesPerSec: number;
      readonly down: object | null;
    }
    interface Seen {
      readonly seed?: Seed;
    }
    const status = async (): Promise<Seen> => (await client.call('status', {})) as Seen;
    const reports: Record<string, unknown>[] = [];
    const done = client.call('protect', { bytesPerSec: 16 * MIB }, (report) => {
      reports.push(report);
    });
    done.catch(() => undefined);
    await until(status, ({ seed }) => seed !== undefined && seed.doneBytes > 8 * MIB);
    expect((await status()).seed?.limitBytesPerSec).toBe(16 * MIB);
    // As an operator does it: a changed configuration, and SIGHUP.
    const { configPath, pid } = pair.primaryDaemon;
    const config = await readFile(configPath, 'utf8');
    const changed = `primary:\n  seedBytesPerSec: ${12 * MIB}\n`;
    await writeFile(configPath, config.replace(/^primary:\n/m, changed));
    process.kill(pid!, 'SIGHUP');
    await until(status, ({ seed }) => seed?.limitBytesPerSec === 12 * MIB);
    await cable.cut();
    await until(status, ({ seed }) => seed?.down != null);
    await cable.plug();
    await until(status, ({ seed }) => seed !== undefined && seed.down === null);
    const command = [BIN, 'seed-rate', '--rate', '0', '-c', pair.primaryDaemon.configPath];
    const cli = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...command]);
    expect(await once(cli, 'close')).toEqual([0, null]);
    await done;
    expect(pair.primaryDaemon.eventsOf('seed-link-lost')).toHaveLength(1);
    expect(pair.primaryDaemon.eventsOf('seed-link-back')).toHaveLength(1);
    const seeds = reports.filter(({ doneBytes }) => doneBytes !== undefined);
    expect(seeds.some(({ bytesPerSec }) => Number(bytesPerSec) > 0)).toBe(true);
    expect(seeds.some(({ down }) => down !== null)).toBe(true);
    await expect(client.call('seed-rate', { bytesPerSec: 0 })).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
    });
    await pair.waitForCommits(3);
    await pair.primary.kill();
    await pair.failOver();
    expect(await pair.compare()).toMatchObject({ isClean: true });
  });
});

function primarySection(where: string, nbd: unknown): Record<string, unknown> {
  const file = (name: string): string => `unix:${path.join(where, name)}`;
  return {
    ...{ link: 'replication', nbd: `127.0.0.1:${String(nbd)}`, migrate: file('incoming0.sock') },
    ...{ peer: file('peer0.sock'), checkpointPeriodMs: 500 },
  };
}
