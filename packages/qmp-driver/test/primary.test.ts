import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import {
  type DiskLink,
  type LinkFailure,
  type LinkKind,
  leftovers,
  PrimaryDriver,
  type PrimaryOptions,
} from '../src/index.js';
import { DISK_BYTES, DONE, FakeVm, refuse } from './support/fake-vm.js';

const SOCKET = { type: 'unix', path: '/nowhere/net.sock' } as const;

function linkOf(link: LinkKind, more: Partial<DiskLink> = {}): DiskLink {
  const server = { type: 'unix', path: '/nowhere/nbd.sock' } as const;
  return { device: 'vb0', link, server, export: 'pvm', id: 'g0', ...more };
}

const FAST: PrimaryOptions = {
  probePeer: false,
  pollMs: 5,
  commandTimeoutMs: 1500,
  stepTimeoutMs: 3000,
  stallTimeoutMs: 1000,
};

let vm: FakeVm;
let qmp: QmpClient;
let failures: LinkFailure[];
let driver: PrimaryDriver;

beforeEach(async () => {
  vm = new FakeVm();
  qmp = await vm.connect();
  failures = [];
  driver = new PrimaryDriver(qmp, { ...FAST, onLinkFailure: (one) => failures.push(one) });
});
afterEach(() => qmp.close());

const COLO = { uri: 'unix:/nowhere/mig.sock', periodMs: 500, timeoutMs: 2000 };
const ASKED = 'query-block-jobs';
const ORIGINAL = ['file0', 'disk0', 'quorum0', 'file1', 'plainnode'];

async function protect(disk: DiskLink): Promise<void> {
  await driver.seed([disk]);
  await driver.attach([disk]);
  await driver.startColo(COLO);
  await driver.finishSeed();
}

describe('the way in', () => {
  test('replication: the mirror stays until COLO runs, then goes', async () => {
    const disk = linkOf('replication');
    await driver.seed([disk]);
    expect(vm.sent('blockdev-mirror')).toEqual([
      {
        'job-id': 'g0-seed',
        device: 'quorum0',
        target: 'g0-seed',
        sync: 'full',
        'copy-mode': 'write-blocking',
        'on-target-error': 'stop',
      },
    ]);
    await driver.attach([disk]);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0', 'children.1=g0-link']);
    expect(vm.sent('blockdev-add')[1]).toMatchObject({
      driver: 'replication',
      mode: 'primary',
      file: { driver: 'nbd', 'node-name': 'g0-nbd', export: 'pvm' },
    });
    expect([...vm.jobs.keys()]).toEqual(['g0-seed']);
    await driver.startColo(COLO);
    expect(vm.xColo).toBe(true);
    expect(vm.periodMs).toBe(500);
    await driver.finishSeed();
    expect(vm.jobs.size).toBe(0);
    expect(vm.nodes.has('g0-seed')).toBe(false);
    await driver.finishSeed();
    expect(failures).toEqual([]);
  });

  test('nbd: the mirror goes as soon as the child is there', async () => {
    const disk = linkOf('nbd', { tlsCreds: 'tls0', tlsHostname: 'replica' });
    await driver.seed([disk]);
    await driver.attach([disk]);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0', 'children.1=g0-link']);
    expect(vm.jobs.size).toBe(0);
    expect(vm.nodes.has('g0-seed')).toBe(false);
    const options = { driver: 'nbd', 'tls-creds': 'tls0', 'tls-hostname': 'replica' };
    expect(vm.sent('blockdev-add')[1]).toMatchObject(options);
    const commands = vm.commands();
    expect(commands.indexOf('x-blockdev-change')).toBeLessThan(
      commands.indexOf('block-job-cancel'),
    );
    await driver.startColo(COLO);
    await driver.finishSeed();
  });

  test('mirror: it stays, and needs no quorum', async () => {
    await protect(linkOf('mirror', { device: 'drive1' }));
    expect([...vm.jobs.keys()]).toEqual(['g0-seed']);
    expect(vm.sent('x-blockdev-change')).toEqual([]);
  });

  test('two disks are seeded side by side, with speed and progress', async () => {
    vm.instant = false;
    const seen: string[] = [];
    const disks = [linkOf('nbd'), linkOf('mirror', { device: 'drive1', id: 'g1' })];
    const seeding = driver.seed(disks, {
      speedBytesPerSec: 1000,
      onProgress: ({ device, doneBytes, totalBytes }) => {
        seen.push(`${device} ${doneBytes}/${totalBytes}`);
        if (seen.length === 4) for (const id of ['g0-seed', 'g1-seed']) vm.makeReady(id);
      },
    });
    await seeding;
    expect(vm.sent('blockdev-mirror').map(({ speed }) => speed)).toEqual([1000, 1000]);
    expect(seen).toContain(`vb0 0/${DISK_BYTES}`);
    expect(seen).toContain(`drive1 ${DISK_BYTES}/${DISK_BYTES}`);
  });

  test('inet ports go to QEMU as text', async () => {
    const server = { type: 'inet', host: '127.0.0.1', port: 10809 } as const;
    await driver.seed([linkOf('mirror', { server })]);
    const sent = { server: { type: 'inet', host: '127.0.0.1', port: '10809' } };
    expect(vm.sent('blockdev-add')[0]).toMatchObject(sent);
  });
});

describe('seeding fails', () => {
  test('the disk is not there', async () => {
    const seeding = driver.seed([linkOf('nbd', { device: 'vdz' })]);
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_DISK_NOT_FOUND' });
    expect(vm.sent('blockdev-add')).toEqual([]);
  });

  test('no quorum for a link that wants one', async () => {
    const seeding = driver.seed([linkOf('nbd', { device: 'drive1' })]);
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_NO_QUORUM',
      message: 'drive1 (node plainnode, raw) has no quorum for a link nbd',
    });
  });

  test.each(['', '0a', 'a b', 'x'.repeat(25)])('the id %j is refused', async (id) => {
    await expect(driver.seed([linkOf('nbd', { id })])).rejects.toMatchObject({
      code: 'DRIVER_BAD_LINK',
    });
  });

  test('one id for two links is refused', async () => {
    const disks = [linkOf('nbd'), linkOf('mirror', { device: 'drive1' })];
    await expect(driver.preflight(disks)).rejects.toMatchObject({ code: 'DRIVER_BAD_LINK' });
  });

  test("QEMU's words when it cannot connect", async () => {
    vm.qemu.on('blockdev-add', () => refuse('Requested export not available'));
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_ADD_FAILED',
      message: 'node g0-seed cannot be added: Requested export not available',
    });
  });

  test('the replica has another size', async () => {
    vm.replicaBytes = DISK_BYTES - 512;
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SIZE_MISMATCH',
      message: `vb0 has ${DISK_BYTES} bytes, its replica (export pvm, node g0-seed) 1048064`,
    });
    expect(vm.sent('blockdev-mirror')).toEqual([]);
  });

  test('the mirror does not start', async () => {
    vm.qemu.on('blockdev-mirror', () => refuse('Need a root block node'));
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: 'the mirror of vb0 (job g0-seed) did not start: Need a root block node',
    });
  });

  test('the job fails before it is READY, even before the reply', async () => {
    vm.instant = false;
    const handler = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]);
    await handler;
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'No space left on device');
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: 'the mirror of vb0 (job g0-seed) ended: No space left on device',
    });
    expect(failures).toHaveLength(1);
  });

  test('a copy that stops on an I/O error has failed, and rollback ends its job', async () => {
    vm.instant = false;
    const patient = new PrimaryDriver(qmp, { ...FAST, stallTimeoutMs: 2000 });
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = patient.seed([linkOf('nbd')]);
    await asked;
    const report = { device: 'g0-seed', operation: 'write' };
    vm.qemu.emit('BLOCK_JOB_ERROR', { ...report, action: 'ignore' });
    vm.qemu.emit('BLOCK_JOB_ERROR', { ...report, action: 'stop' });
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: 'the mirror of vb0 (job g0-seed) has met an I/O error',
    });
    await patient.rollback();
    expect(vm.jobs.size).toBe(0);
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('in an I/O thread a copy begins with the guest paused, and so does its end', async () => {
    const path = '/machine/peripheral/vb0/virtio-backend';
    vm.qemu.on('qom-get', ({ arguments: args }) =>
      args['path'] === path && args['property'] === 'iothread'
        ? { return: '/objects/thread0' }
        : refuse('no such property'),
    );
    await driver.seed([linkOf('mirror')]);
    const at = vm.commands().indexOf('stop');
    expect(vm.commands().slice(at, at + 3)).toEqual(['stop', 'blockdev-mirror', 'cont']);
    await driver.rollback();
    const end = vm.commands().lastIndexOf('stop');
    expect(vm.commands().slice(end, end + 4)).toEqual([
      'stop',
      'block-job-cancel',
      'query-block-jobs',
      'cont',
    ]);
    expect(vm.status).toBe('running');
  });

  test.each([
    { version: '7.2.22', stands: false },
    { version: '8.2.2', stands: true },
    { version: '10.0.9', stands: true },
    { version: '10.0.10', stands: false },
    { version: '10.1.0', stands: true },
    { version: '11.0.0', stands: false },
  ])(
    'QEMU $version: the guest stands while a copy begins: $stands',
    async ({ version, stands }) => {
      const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
      const old = new FakeVm({ version: { major, minor, micro } });
      const client = await old.connect();
      old.instant = false;
      old.beginningPolls = 2;
      const abort = new AbortController();
      const seeding = new PrimaryDriver(client, FAST).seed([linkOf('mirror')], {
        signal: abort.signal,
        onProgress: () => abort.abort(),
      });
      await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
      const begun = ['stop', 'blockdev-mirror', ASKED, ASKED, ASKED, 'cont'];
      const sent = stands ? begun : ['blockdev-mirror', ASKED];
      const at = old.commands().indexOf(sent[0] ?? '');
      expect(old.commands().slice(at, at + sent.length)).toEqual(sent);
      expect(old.commands().includes('stop')).toBe(stands);
      expect(old.status).toBe('running');
      await client.close();
    },
  );

  test("the guest's writes are drained before a copy is cancelled", async () => {
    await driver.seed([linkOf('nbd')]);
    await driver.rollback();
    const at = vm.commands().indexOf('stop');
    expect(vm.commands().slice(at, at + 3)).toEqual(['stop', 'block-job-cancel', 'cont']);
    vm.status = 'paused';
    await driver.seed([linkOf('nbd')]);
    await driver.rollback();
    expect(vm.status).toBe('paused');
    expect(vm.commands().filter((name) => name === 'stop' || name === 'cont')).toHaveLength(2);
  });

  test('another driver finds what this one has left, and takes it back', async () => {
    expect(await leftovers(qmp, [linkOf('nbd')])).toEqual([]);
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]).catch(() => undefined);
    await asked;
    expect(await leftovers(qmp, [linkOf('nbd')])).toEqual(['g0-seed']);
    const next = new PrimaryDriver(qmp, FAST);
    await next.adopt([linkOf('nbd')]);
    await next.rollback();
    expect(vm.jobs.size).toBe(0);
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(await leftovers(qmp, [linkOf('nbd')])).toEqual([]);
    await seeding;
  });

  test('somebody cancels it', async () => {
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]);
    await asked;
    vm.endJob('g0-seed', 'BLOCK_JOB_CANCELLED');
    await expect(seeding).rejects.toThrow('ended: it was cancelled');
  });

  test('the job is gone without a word', async () => {
    vm.instant = false;
    vm.qemu.reply('query-block-jobs', []);
    await expect(driver.seed([linkOf('nbd')])).rejects.toThrow('is gone and left no word');
  });

  test('events of other jobs are not ours', async () => {
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    let seeded = false;
    const seeding = driver.seed([linkOf('nbd')]).then(() => (seeded = true));
    await asked;
    vm.qemu.emit('BLOCK_JOB_COMPLETED', { device: 'g0-seed "x"', error: 'no' });
    vm.qemu.emit('BLOCK_JOB_READY', { device: 'g0-seed ' });
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(seeded).toBe(false);
    vm.makeReady('g0-seed');
    await seeding;
  });

  test('no progress for too long', async () => {
    vm.instant = false;
    // Said by the wait, or by the question that was under way when the time was up.
    const seeded = driver.seed([linkOf('nbd')]);
    await expect(seeded).rejects.toMatchObject({
      code: 'DRIVER_DEADLINE',
      message: expect.stringMatching(
        /^(seeding vb0 .*: one step .* took longer than 1000 ms$|the mirror of vb0 .* watched: )/,
      ),
    });
  });

  test('the caller aborts', async () => {
    vm.instant = false;
    const controller = new AbortController();
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')], { signal: controller.signal });
    await asked;
    controller.abort(new Error('enough'));
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
    await driver.rollback();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.jobs.size).toBe(0);
  });

  test('the connection is lost', async () => {
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]);
    await asked;
    await vm.qemu.drop();
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_SEED_FAILED' });
  });

  test('twice', async () => {
    await driver.seed([linkOf('nbd')]);
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
    });
  });
});

describe('attaching fails', () => {
  test('before seeding', async () => {
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_NOT_SEEDED',
    });
  });

  test('the copy does not end before its link is there', async () => {
    await driver.seed([linkOf('nbd')]);
    await expect(driver.finishSeed()).rejects.toMatchObject({ code: 'DRIVER_NOT_SEEDED' });
    expect(vm.jobs.size).toBe(1);
  });

  test('a copy that an earlier process left half-way does not count as complete', async () => {
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]);
    seeding.catch(() => undefined);
    await asked;
    const next = new PrimaryDriver(qmp, FAST);
    await next.adopt([linkOf('nbd')]);
    await expect(next.finishSeed()).rejects.toMatchObject({ code: 'DRIVER_SEED_FAILED' });
    expect(vm.jobs.size).toBe(1);
    await next.rollback();
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_SEED_FAILED' });
  });

  test('a rollback during the seed is the end of the seed', async () => {
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]);
    seeding.catch(() => undefined);
    await asked;
    await driver.rollback();
    await expect(seeding).rejects.toThrow();
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_NOT_SEEDED',
    });
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('the mirror was lost since READY', async () => {
    await driver.seed([linkOf('nbd')]);
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(failures).toHaveLength(1);
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
      message: 'the mirror of vb0 (job g0-seed) ended: Input/output error',
    });
    expect(vm.sent('x-blockdev-change')).toEqual([]);
  });

  test('the mirror has an I/O error and has not ended yet', async () => {
    await driver.seed([linkOf('nbd')]);
    const report = { device: 'g0-seed', operation: 'write', action: 'stop' };
    vm.qemu.emit('BLOCK_JOB_ERROR', report);
    await qmp.execute('query-status');
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
    });
  });

  test('the mirror is lost while it is being replaced', async () => {
    await driver.seed([linkOf('nbd')]);
    vm.qemu.on('block-job-cancel', () => {
      vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
      return DONE;
    });
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
    });
  });

  test("QEMU's words when the quorum refuses", async () => {
    await driver.seed([linkOf('nbd')]);
    vm.qemu.on('x-blockdev-change', () => refuse('Conflicts with use by g0'));
    await expect(driver.attach([linkOf('nbd')])).rejects.toMatchObject({
      code: 'DRIVER_ADD_FAILED',
      message: 'node g0-link cannot be added to quorum quorum0: Conflicts with use by g0',
    });
    await driver.rollback();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });
});

describe('entering COLO fails', () => {
  test('nothing is attached', async () => {
    await expect(driver.startColo(COLO)).rejects.toMatchObject({ code: 'DRIVER_NOT_SEEDED' });
    expect(vm.sent('migrate')).toEqual([]);
  });

  async function attached(link: LinkKind = 'replication'): Promise<void> {
    await driver.seed([linkOf(link)]);
    await driver.attach([linkOf(link)]);
  }

  test('no such capability', async () => {
    await attached();
    vm.qemu.on('migrate-set-capabilities', () => refuse('Invalid parameter x-colo'));
    await expect(driver.startColo(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_UNSUPPORTED' });
  });

  test('the migration is refused', async () => {
    await attached();
    vm.qemu.on('migrate', () => refuse('There is a migration process in progress'));
    await expect(driver.startColo(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_REFUSED' });
    expect(vm.sent('migrate_cancel')).toEqual([]);
  });

  test("it fails, with QEMU's error-desc", async () => {
    await attached();
    vm.migrateTo = 'failed';
    vm.errorDesc = "Failed to connect to '/nowhere/mig.sock': No such file or directory";
    await expect(driver.startColo(COLO)).rejects.toMatchObject({
      code: 'DRIVER_COLO_NOT_ENTERED',
      message: `the migration to ${COLO.uri} failed: ${vm.errorDesc}`,
    });
  });

  test('it completes as an ordinary migration', async () => {
    await attached();
    vm.migrateTo = 'completed';
    vm.status = 'postmigrate';
    await expect(driver.startColo(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_NOT_ENTERED' });
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_GUEST_STOPPED' });
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.sent('cont')).toEqual([]);
  });

  test('it takes too long, and is cancelled', async () => {
    await attached();
    vm.migrateTo = 'active';
    const starting = driver.startColo({ ...COLO, timeoutMs: 50 });
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    expect(vm.migration).toBe('cancelled');
  });

  test('the caller aborts, and it is cancelled', async () => {
    await attached();
    vm.migrateTo = 'active';
    const controller = new AbortController();
    const starting = driver.startColo({ ...COLO, signal: controller.signal });
    await vm.qemu.nextRequest('query-migrate');
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
    expect(vm.migration).toBe('cancelled');
  });

  test('tells how much of the memory is there', async () => {
    await attached();
    const told: number[][] = [];
    let looks = 0;
    vm.qemu.on('query-migrate', () => {
      const ram = { transferred: 9, total: 100, remaining: 100 - 40 * looks };
      return { return: looks++ < 2 ? { status: 'active', ram } : { status: 'colo' } };
    });
    await driver.startColo({ ...COLO, onProgress: (...bytes) => told.push(bytes) });
    expect(told).toEqual([
      [0, 100],
      [40, 100],
    ]);
  });

  test('the mirror is lost on the way', async () => {
    await attached();
    vm.migrateTo = 'active';
    const starting = driver.startColo(COLO);
    await vm.qemu.nextRequest('query-migrate');
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_SEED_LOST' });
    expect(vm.migration).toBe('cancelled');
  });

  test('finishSeed tells of a mirror that was lost', async () => {
    await attached();
    await driver.startColo(COLO);
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await expect(driver.finishSeed()).rejects.toMatchObject({ code: 'DRIVER_SEED_LOST' });
  });
});

describe('in COLO', () => {
  test('a checkpoint now is the same period set again', async () => {
    await protect(linkOf('nbd'));
    await driver.setPeriod(700);
    await driver.checkpointNow();
    expect(vm.sent('migrate-set-parameters')).toEqual([
      { 'x-checkpoint-delay': 500 },
      { 'x-checkpoint-delay': 700 },
      { 'x-checkpoint-delay': 700 },
    ]);
  });

  test('no checkpoint outside COLO', async () => {
    await expect(driver.checkpointNow()).rejects.toMatchObject({ code: 'DRIVER_NOT_IN_COLO' });
    expect(vm.sent('migrate-set-parameters')).toEqual([]);
  });

  test('a period that QEMU refuses', async () => {
    vm.qemu.on('migrate-set-parameters', () => refuse('Invalid parameter'));
    await expect(driver.setPeriod(-1)).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
  });

  async function report(node: string, type: 'write' | 'flush'): Promise<void> {
    const sectors = { 'sector-num': 0, 'sectors-count': 8 };
    const error = 'Input/output error';
    vm.qemu.emit('QUORUM_REPORT_BAD', { type, error, 'node-name': node, ...sectors });
    await qmp.execute('query-status');
  }

  test('an NBD child that fails is reported, others are not', async () => {
    await protect(linkOf('nbd'));
    await report('disk0', 'write');
    await report('g0-link', 'write');
    expect(failures).toEqual([
      {
        device: 'vb0',
        node: 'g0-link',
        message: 'a write of vb0 did not reach its replica (node g0-link): Input/output error',
      },
    ]);
  });

  test('of a replication child, a failed flush counts, a refused write does not', async () => {
    await protect(linkOf('replication'));
    await report('g0-link', 'write');
    expect(failures).toEqual([]);
    await report('g0-link', 'flush');
    expect(failures.map(({ message }) => message)).toEqual([
      'a flush of vb0 did not reach its replica (node g0-link): Input/output error',
    ]);
  });
});

describe('running alone', () => {
  test.each(['replication', 'nbd', 'mirror'] as const)('%s: all is as it was', async (link) => {
    await protect(linkOf(link));
    vm.migrationConnected = true;
    await driver.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0']);
    expect(vm.jobs.size).toBe(0);
    expect(vm.colo).toMatchObject({ mode: 'none', 'last-mode': 'primary' });
    expect(vm.xColo).toBe(false);
    expect(vm.yanked).toContain('migration');
    expect(failures).toEqual([]);
    const commands = vm.commands();
    const first = (name: string): number => commands.lastIndexOf(name);
    expect(commands.indexOf('yank')).toBeLessThan(first('blockdev-del'));
    expect(first('blockdev-del')).toBeLessThan(first('x-colo-lost-heartbeat'));
    await driver.runAlone();
  });

  test('cuts by out-of-band commands, and nothing that is not ours', async () => {
    await qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': 'backup',
      server: { type: 'unix', path: '/b' },
    });
    await protect(linkOf('replication'));
    await driver.runAlone();
    expect(vm.yanked).toEqual(['g0-nbd']);
    const yanks = vm.qemu.received.filter(({ command }) => command.endsWith('yank'));
    expect(yanks.length).toBeGreaterThan(1);
    expect(yanks.every(({ oob }) => oob)).toBe(true);
  });

  test('never cuts a monitor, whatever its name is (C1)', async () => {
    vm.chardevsConnected = ['gannet-qmp', 'gannet-mirrored-net0', 'gannet-mirrored-net1'];
    vm.migrationConnected = true;
    const network = [{ netdev: 'net0', mirror: SOCKET, compare: SOCKET }];
    const withCard = new PrimaryDriver(qmp, { ...FAST, network });
    await withCard.seed([linkOf('nbd')]);
    await withCard.cutLinks(1000);
    expect(vm.yanked).toEqual(['gannet-mirrored-net0', 'g0-seed', 'migration']);
  });

  test('a mirror that ends because it was cut is no news', async () => {
    await protect(linkOf('mirror'));
    vm.qemu.on('yank', () => {
      vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
      return DONE;
    });
    await driver.runAlone();
    expect(failures).toEqual([]);
    await driver.seed([linkOf('mirror')]);
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await qmp.execute('query-status');
    expect(failures).toHaveLength(1);
  });

  test('asks again when a connection ended between listing and cutting', async () => {
    await protect(linkOf('nbd'));
    vm.qemu.once('yank', () => refuse('Instance not found', 'DeviceNotFound'));
    await driver.runAlone();
    expect(vm.yanked).toEqual(['g0-link']);
  });

  test('takes the child by the name that it has', async () => {
    await protect(linkOf('nbd'));
    const quorum = vm.nodes.get('quorum0');
    quorum?.children.delete('children.1');
    quorum?.children.set('children.7', 'g0-link');
    await driver.runAlone();
    const removed = { parent: 'quorum0', child: 'children.7' };
    expect(vm.sent('x-blockdev-change')).toContainEqual(removed);
  });

  test('waits for a node that is still in use', async () => {
    await protect(linkOf('nbd'));
    for (let busy = 0; busy < 3; busy += 1) {
      vm.qemu.once('blockdev-del', () => refuse('Block device g0-link is in use'));
    }
    await driver.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('gives up at its deadline, and still ends COLO', async () => {
    await protect(linkOf('nbd'));
    vm.qemu.on('blockdev-del', () => refuse('Block device g0-link is in use'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message: 'node g0-link cannot be deleted: Block device g0-link is in use',
    });
    expect(vm.sent('blockdev-del').length).toBeGreaterThan(5);
    expect(vm.colo.mode).toBe('none');
  });

  test('does not repeat what is refused for another reason', async () => {
    await protect(linkOf('nbd'));
    const before = vm.sent('blockdev-del').length;
    vm.qemu.on('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message: 'node g0-link cannot be deleted: Node g0-link is not owned by the monitor',
    });
    expect(vm.sent('blockdev-del')).toHaveLength(before + 1);
    expect(vm.colo.mode).toBe('none');
  });

  test('a child that cannot leave', async () => {
    await protect(linkOf('nbd'));
    vm.qemu.on('x-blockdev-change', () => refuse('The number of children cannot be lower'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message:
        'children.1 (node g0-link) cannot leave quorum quorum0: ' +
        'The number of children cannot be lower',
    });
  });

  test('a connection without out-of-band still lets go, and says so', async () => {
    const plain = new FakeVm({ capabilities: [] });
    const client = await plain.connect();
    const alone = new PrimaryDriver(client, FAST);
    await alone.seed([linkOf('nbd')]);
    await expect(alone.runAlone()).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
    expect([...plain.nodes.keys()]).toEqual(ORIGINAL);
    await client.close();
  });

  test('a restarted driver adopts what it finds', async () => {
    await protect(linkOf('mirror'));
    const later = new PrimaryDriver(qmp, FAST);
    await later.adopt([linkOf('mirror')]);
    await later.finishSeed();
    expect(vm.jobs.size).toBe(1);
    await later.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('a rollback that failed is finished by the next seed', async () => {
    await protect(linkOf('nbd'));
    vm.qemu.once('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_REMOVE_FAILED' });
    expect(vm.nodes.has('g0-link')).toBe(true);
    await driver.seed([linkOf('nbd')]);
    expect(vm.nodes.has('g0-link')).toBe(false);
    await driver.attach([linkOf('nbd')]);
    expect(vm.children('quorum0')).toHaveLength(2);
  });

  test('a rollback that fails again refuses the next seed', async () => {
    await protect(linkOf('nbd'));
    vm.qemu.on('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_REMOVE_FAILED' });
    const before = vm.sent('blockdev-mirror').length;
    const code = 'DRIVER_REMOVE_FAILED';
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({ code });
    expect(vm.sent('blockdev-mirror')).toHaveLength(before);
  });

  test('a migration under way is cancelled', async () => {
    await driver.seed([linkOf('nbd')]);
    vm.migration = 'active';
    await driver.rollback();
    expect(vm.migration).toBe('cancelled');
    expect(vm.sent('x-colo-lost-heartbeat')).toEqual([]);
  });
});

describe('preflight', () => {
  test('nothing to say', async () => {
    expect(await driver.preflight([linkOf('replication')])).toEqual([]);
  });

  test.each([
    [10, 0, 0, true],
    [10, 0, 2, true],
    [10, 0, 6, true],
    [10, 0, 7, false],
    [10, 0, 13, false],
    [10, 1, 0, true],
    [10, 1, 2, true],
    [10, 1, 3, false],
    [11, 1, 3, false],
    [9, 0, 2, false],
    [7, 2, 22, false],
  ])('QEMU %i.%i.%i: broken is %s', async (major, minor, micro, broken) => {
    const other = new FakeVm({ version: { major, minor, micro } });
    const client = await other.connect();
    const findings = await new PrimaryDriver(client, FAST).preflight([]);
    expect(findings.map(({ code }) => code)).toEqual(broken ? ['colo-broken-version'] : []);
    await client.close();
  });

  test('what this QEMU lacks', async () => {
    const bare = new FakeVm({ capabilities: [] });
    bare.qemu.reply('query-migrate-capabilities', [{ capability: 'events', state: false }]);
    bare.qemu.reply('query-qmp-schema', []);
    const client = await bare.connect();
    const findings = await new PrimaryDriver(client, FAST).preflight([linkOf('replication')]);
    expect(findings.map(({ code }) => code)).toEqual([
      'oob-missing',
      'colo-not-built',
      'driver-missing',
      'driver-missing',
      'driver-missing',
    ]);
    await client.close();
  });

  test('what is in the way', async () => {
    await driver.seed([linkOf('nbd')]);
    await qmp.executeRaw('blockdev-mirror', {
      'job-id': 'mine',
      device: 'plainnode',
      target: 'g0-seed',
    });
    vm.status = 'paused';
    vm.migration = 'active';
    const disks = [
      linkOf('nbd'),
      linkOf('nbd', { device: 'drive1', id: 'g1' }),
      linkOf('nbd', { device: 'quorum0', id: 'g2' }),
      linkOf('nbd', { device: 'vdz', id: 'g3' }),
    ];
    const findings = await driver.preflight(disks);
    expect(findings.map(({ code, device }) => `${code} ${device ?? ''}`.trim())).toEqual([
      'not-running',
      'migration-under-way',
      'already-linked vb0',
      'job-in-the-way drive1',
      'no-quorum drive1',
      'disk-named-twice quorum0',
      'job-in-the-way quorum0',
      'disk-not-found vdz',
    ]);
    expect(findings.every(({ remedy }) => remedy.endsWith('.'))).toBe(true);
  });

  test('QEMU does not answer', async () => {
    vm.qemu.on('query-migrate', () => 'silence');
    await expect(driver.preflight([])).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    vm.qemu.on('query-migrate', () => refuse('no'));
    await expect(driver.preflight([])).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
  });
});
