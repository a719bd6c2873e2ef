import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import {
  type DiskLink,
  findDisk,
  type LinkKind,
  PrimaryDriver,
  putTlsCreds,
  SecondaryDriver,
  TLS_CREDS_IDS,
} from '../src/index.js';
import { makeCertificates } from '@gannet/test-support/certificates.js';
import { freePort } from '@gannet/test-support/ports.js';
import { IMAGE_BYTES, listens, RealQemu } from './support/real-qemu.js';

/** Real QEMU, with a machine that is not started: its graph, its jobs and its words. */

let qemu: RealQemu;
/** Of machines, for the names of their files. */
let machines: number;

beforeEach(async () => {
  qemu = await RealQemu.create();
  machines = 0;
});
afterEach(() => qemu.close());

/** An NBD server with the export `pvm`, whose I/O may be made to fail by options of blkdebug. */
async function replica(
  name = 'nbd',
  bytes = IMAGE_BYTES,
  faults = '',
): Promise<{ path: string; child: ChildProcess }> {
  const path = qemu.path(`${name}.sock`);
  const file = await qemu.image(`${name}.raw`, bytes);
  const node =
    faults === ''
      ? `driver=file,filename=${file}`
      : `driver=blkdebug,image.driver=file,image.filename=${file},${faults}`;
  const child = qemu.run(
    'qemu-storage-daemon',
    ...['--blockdev', `${node},node-name=n0`],
    ...['--nbd-server', `addr.type=unix,addr.path=${path},max-connections=0`],
    ...['--export', 'type=nbd,id=e0,node-name=n0,name=pvm,writable=on'],
  );
  await listens(path);
  return { path, child };
}

/** A VM with `vb0` on a quorum and `dr1`, an old-style drive, without. */
async function machine(...more: string[]): Promise<QmpClient> {
  const number = machines++;
  const qmpPath = qemu.path(`qmp${number}.sock`);
  const disk = await qemu.image(`disk${number}.raw`);
  const other = await qemu.image(`other${number}.raw`);
  qemu.run(
    'qemu-system-x86_64',
    ...['-machine', 'pc,accel=tcg', '-m', '64', '-nodefaults', '-display', 'none', '-S'],
    ...['-qmp', `unix:${qmpPath},server=on,wait=off`],
    ...['-blockdev', `driver=raw,node-name=disk0,file.driver=file,file.filename=${disk}`],
    '-blockdev',
    'driver=quorum,node-name=quorum0,children.0=disk0,vote-threshold=1,read-pattern=fifo',
    ...['-device', 'virtio-blk-pci,id=vb0,drive=quorum0'],
    ...['-drive', `if=none,id=dr1,format=raw,file=${other}`],
    ...['-device', 'virtio-blk-pci,drive=dr1'],
    ...more,
  );
  return qemu.monitor({ kind: 'unix', path: qmpPath });
}

function linkTo(path: string, link: LinkKind, more: Partial<DiskLink> = {}): DiskLink {
  return { device: 'vb0', link, server: { type: 'unix', path }, export: 'pvm', id: 'g0', ...more };
}

async function nodeNames(qmp: QmpClient): Promise<string[]> {
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
  return nodes.map((node) => node['node-name'] ?? '').filter((name) => !name.startsWith('#'));
}

describe('the graph', () => {
  test('with quorum, without, and with jobs', async () => {
    const qmp = await machine();
    const { path } = await replica();
    expect(await findDisk(qmp, 'vb0')).toEqual({
      device: 'vb0',
      names: ['vb0', '/machine/peripheral/vb0/virtio-backend', 'quorum0'],
      topNode: 'quorum0',
      sizeBytes: IMAGE_BYTES,
      format: 'quorum',
      quorum: { node: 'quorum0', children: [{ child: 'children.0', node: 'disk0' }] },
      nodes: ['quorum0', 'disk0', expect.stringMatching(/^#block/)],
      jobs: [],
    });
    const plain = await findDisk(qmp, 'dr1');
    expect(plain).toMatchObject({ device: 'dr1', format: 'raw', sizeBytes: IMAGE_BYTES, jobs: [] });
    expect(plain.quorum).toBeUndefined();
    await expect(findDisk(qmp, 'vb9')).rejects.toThrow('QEMU has');

    await qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': 'target0',
      server: { type: 'unix', path },
      export: 'pvm',
    });
    const mirror = { device: 'quorum0', target: 'target0', sync: 'full' } as const;
    await qmp.execute('blockdev-mirror', {
      ...mirror,
      'job-id': 'other',
      'filter-node-name': 'named-filter',
    });
    const busy = await findDisk(qmp, 'vb0');
    expect(busy).toMatchObject({ topNode: 'quorum0', format: 'quorum', jobs: ['other'] });
    expect(busy.quorum?.node).toBe('quorum0');
    expect((await findDisk(qmp, 'dr1')).jobs).toEqual([]);
  });
});

describe('I/O threads', () => {
  test("a disk's own, and that of its controller", async () => {
    const { path } = await replica();
    const qmp = await machine(
      ...['-object', 'iothread,id=io0'],
      ...['-device', 'virtio-scsi-pci,id=scsi0,iothread=io0'],
      ...['-blockdev', `driver=file,node-name=file0,filename=${await qemu.image('scsi.raw')}`],
      ...['-device', 'scsi-hd,id=sd0,drive=file0'],
      ...['-blockdev', `driver=file,node-name=file1,filename=${await qemu.image('blk.raw')}`],
      ...['-device', 'virtio-blk-pci,id=vb1,drive=file1,iothread=io0'],
    );
    const disks = ['vb0', 'sd0', 'vb1'].map((device) =>
      linkTo(path, 'nbd', { device, id: device }),
    );
    const findings = await new PrimaryDriver(qmp).preflight(disks);
    const threaded = findings.filter(({ code }) => code === 'quorum-in-iothread');
    expect(threaded.map(({ device }) => device)).toEqual(['sd0', 'vb1']);
  });
});

describe('seed, attach, roll back', () => {
  test.each(['replication', 'nbd', 'mirror'] as const)('%s', async (link) => {
    const qmp = await machine();
    const { path } = await replica();
    const before = await nodeNames(qmp);
    const driver = new PrimaryDriver(qmp);
    const disks = [linkTo(path, link)];
    const findings = await driver.preflight(disks);
    // Its other disk is not replicated.
    expect(findings.map(({ code }) => code)).toEqual(['not-running', 'drive-not-covered']);
    for (let round = 1; round <= 2; round += 1) {
      await driver.seed(disks);
      await driver.attach(disks);
      const { quorum, jobs } = await findDisk(qmp, 'vb0');
      expect(quorum?.children[1]?.node).toBe(link === 'mirror' ? undefined : 'g0-link');
      expect(jobs).toEqual(link === 'nbd' ? [] : ['g0-seed']);
      const again = await driver.preflight(disks);
      expect(again.map(({ code }) => code)).toEqual([
        'not-running',
        'already-linked',
        'drive-not-covered',
      ]);
      await driver.rollback();
      expect(await nodeNames(qmp)).toEqual(before);
      expect((await findDisk(qmp, 'vb0')).quorum?.children).toHaveLength(1);
    }
  });

  test('two disks at a time, one of them without quorum', async () => {
    const qmp = await machine();
    const [one, two] = [await replica('one'), await replica('two')];
    const driver = new PrimaryDriver(qmp);
    const disks = [
      linkTo(one.path, 'nbd'),
      linkTo(two.path, 'mirror', { device: 'dr1', id: 'g1' }),
    ];
    await driver.seed(disks);
    await driver.attach(disks);
    expect((await findDisk(qmp, 'dr1')).jobs).toEqual(['g1-seed']);
    await driver.rollback();
  });

  test('the replicator hangs: rollback cuts it off', async () => {
    const qmp = await machine();
    const before = await nodeNames(qmp);
    const { path, child } = await replica();
    const driver = new PrimaryDriver(qmp);
    await driver.seed([linkTo(path, 'nbd')]);
    await driver.attach([linkTo(path, 'nbd')]);
    child.kill('SIGSTOP');
    await driver.rollback();
    expect(await nodeNames(qmp)).toEqual(before);
  });

  test('a hung replicator is noticed before QEMU is told to connect', async () => {
    const qmp = await machine();
    const { path, child } = await replica();
    child.kill('SIGSTOP');
    const driver = new PrimaryDriver(qmp, { commandTimeoutMs: 500 });
    const seeding = driver.seed([linkTo(path, 'nbd')]);
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_PEER_SILENT' });
    await qmp.execute('query-status', {}, { timeoutMs: 500 });
  });

  test('a mirror whose target has no space', async () => {
    const qmp = await machine();
    const full = 'inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=28';
    const { path } = await replica('full', IMAGE_BYTES, full);
    const driver = new PrimaryDriver(qmp);
    await expect(driver.seed([linkTo(path, 'nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: 'the mirror of vb0 (job g0-seed) stands still: no space for the replica',
    });
    await driver.rollback();
    expect((await findDisk(qmp, 'vb0')).jobs).toEqual([]);
  });

  test('a replica of another size, and an export that is not there', async () => {
    const qmp = await machine();
    const { path } = await replica('small', IMAGE_BYTES / 2);
    const driver = new PrimaryDriver(qmp);
    const small = driver.seed([linkTo(path, 'nbd')]);
    await expect(small).rejects.toMatchObject({ code: 'DRIVER_SIZE_MISMATCH' });
    await driver.rollback();
    const missing = driver.seed([linkTo(path, 'nbd', { export: 'nope' })]);
    await expect(missing).rejects.toMatchObject({
      code: 'DRIVER_ADD_FAILED',
      message: 'node g0-seed cannot be added: Requested export not available',
    });
    await driver.rollback();
  });

  test('no secondary to migrate to', async () => {
    const qmp = await machine();
    const { path } = await replica();
    const driver = new PrimaryDriver(qmp);
    await driver.seed([linkTo(path, 'replication')]);
    await driver.attach([linkTo(path, 'replication')]);
    const uri = `unix:${qemu.path('nobody.sock')}`;
    const starting = driver.start({ uri, periodMs: 1000, timeoutMs: 5000 });
    await expect(starting).rejects.toThrow('No such file or directory');
    await driver.rollback();
    expect((await findDisk(qmp, 'vb0')).quorum?.children).toHaveLength(1);
  });
});

describe('the secondary', () => {
  test('readies itself only when it waits', async () => {
    const waiting = await machine('-incoming', 'defer');
    await new SecondaryDriver(waiting).prepare();
    const capabilities = await waiting.execute('query-migrate-capabilities');
    expect(capabilities).toContainEqual({ capability: 'x-colo', state: true });
    const other = await machine();
    const prepared = new SecondaryDriver(other).prepare();
    await expect(prepared).rejects.toMatchObject({ code: 'DRIVER_NOT_INCOMING' });
    const over = new SecondaryDriver(other).failOver({ timeoutMs: 1000 });
    await expect(over).rejects.toMatchObject({ code: 'DRIVER_NOT_SECONDARY' });
  });

  test('moves to a local file, whatever names are taken', async () => {
    const { path } = await replica();
    const qmp = await machine(
      ...['-blockdev', `driver=nbd,node-name=svm0,server.type=unix,server.path=${path},export=pvm`],
      '-blockdev',
      'driver=quorum,node-name=local1,children.0=svm0,vote-threshold=1,read-pattern=fifo',
      ...['-device', 'virtio-blk-pci,id=vb1,drive=local1'],
      // Drives and nodes cannot have one name.
      ...['-drive', 'if=none,id=local2', '-drive', 'if=none,id=gannet-local2'],
    );
    await qmp.execute('cont');
    const driver = new SecondaryDriver(qmp);
    const filename = await qemu.image('local.raw');
    const to = (id: string, format: 'raw' | 'qcow2') =>
      [{ device: 'vb1', file: { driver: 'file', filename }, format, id }] as const;
    const nothing = (): Promise<void> => Promise.resolve();
    const retired = (): Promise<void> => Promise.reject(new Error('the replica is given up'));
    await expect(driver.moveToLocal(to('local2', 'qcow2'), retired)).rejects.toMatchObject({
      ...{ code: 'DRIVER_MOVE_UNDONE', guestStopped: false },
      message: expect.stringContaining('Image is not in qcow2 format'),
    });
    expect((await qmp.execute('query-status')).status).toBe('running');
    expect(await driver.moveToLocal(to('local2', 'raw'), nothing)).toEqual({ guestStopped: false });
    expect((await findDisk(qmp, 'vb1')).quorum?.children).toEqual([
      { child: 'children.1', node: 'gannet-local2-1' },
    ]);
  });

  test('with TLS, strangers and those who may not connect do not end its wait', async () => {
    await makeCertificates(qemu.folder);
    const creds = { kind: 'x509', dir: qemu.path('host-b') } as const;
    const waiting = await machine('-incoming', 'defer');
    const uri = `tcp:127.0.0.1:${await freePort()}`;
    const incoming = { uri, hasTls: true };
    const secondary = new SecondaryDriver(waiting);
    await secondary.prepare({ tls: { creds, clients: ['host-z'] }, incoming });
    // Of a daemon that was started again.
    await new SecondaryDriver(waiting).prepare({ tls: { creds, clients: ['host-z'] }, incoming });
    const stranger = connect(Number(uri.split(':')[2]), '127.0.0.1');
    stranger.on('error', () => undefined);
    stranger.end('GET / HTTP/1.0\r\n\r\n');
    await new Promise<void>((resolve) => stranger.once('close', () => resolve()));

    const { path } = await replica();
    const qmp = await machine();
    // QEMU takes no second migration from a guest that did not run, if the first failed at its end.
    await qmp.execute('cont');
    const driver = new PrimaryDriver(qmp);
    const disks = [linkTo(path, 'nbd')];
    await driver.seed(disks);
    await driver.attach(disks);
    const own = { kind: 'x509', dir: qemu.path('host-a') } as const;
    await putTlsCreds(qmp, own, 10_000);
    const to = { uri, periodMs: 1000, timeoutMs: 10_000 };
    const starting = driver.start({ ...to, tls: { creds: TLS_CREDS_IDS.client } });
    await expect(starting).rejects.toMatchObject({ name: 'ColoError' });
    expect((await waiting.execute('query-status')).status).toBe('inmigrate');
    const named = { creds: TLS_CREDS_IDS.client, hostname: 'host-c' };
    const misled = driver.start({ ...to, tls: named });
    await expect(misled).rejects.toThrow(/host-c|does not match/);
    await driver.rollback();
    const parameters = await qmp.execute('query-migrate-parameters');
    expect(parameters['tls-creds']).toBe('');
  });

  test('moves to a local file, and back to the old graph when it cannot', async () => {
    const { path } = await replica();
    const qmp = await machine(
      ...['-blockdev', `driver=nbd,node-name=svm0,server.type=unix,server.path=${path},export=pvm`],
      '-blockdev',
      'driver=quorum,node-name=quorum1,children.0=svm0,vote-threshold=1,read-pattern=fifo',
      ...['-device', 'virtio-blk-pci,id=vb1,drive=quorum1'],
    );
    await qmp.execute('cont');
    const driver = new SecondaryDriver(qmp);
    const to = (filename: string) =>
      [{ device: 'vb1', file: { driver: 'file', filename }, id: 'local1' }] as const;
    const drained = (): Promise<void> => Promise.resolve();
    const failing = driver.moveToLocal(to(qemu.path('nope.raw')), drained);
    await expect(failing).rejects.toMatchObject({
      ...{ code: 'DRIVER_MOVE_UNDONE', guestStopped: false },
    });
    expect((await qmp.execute('query-status')).status).toBe('running');
    expect((await findDisk(qmp, 'vb1')).quorum?.children).toEqual([
      { child: 'children.0', node: 'svm0' },
    ]);
    const local = to(await qemu.image('local.raw'));
    expect(await driver.moveToLocal(local, drained)).toEqual({ guestStopped: false });
    expect((await findDisk(qmp, 'vb1')).quorum?.children).toEqual([
      { child: 'children.1', node: 'gannet-local1' },
    ]);
    expect(await nodeNames(qmp)).not.toContain('svm0');
    expect((await qmp.execute('query-status')).status).toBe('running');
    // Asked again, by another driver: there is nothing to do.
    const again = new SecondaryDriver(qmp).moveToLocal(local, () => Promise.reject(new Error()));
    expect(await again).toEqual({ guestStopped: false });
    expect((await qmp.execute('query-status')).status).toBe('running');
  });
});
