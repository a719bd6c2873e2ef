/** A seed: what the guest sees of it, and what ends it before its end. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { linkedInQemu, PrimaryDriver } from '../src/index.js';
import { driveFakeVm, type DrivenVm, FAST, linkOf, ORIGINAL } from './support/driver.js';
import { DISK_BYTES, FakeVm, refuse } from './support/fake-vm.js';

const ASKED = 'query-block-jobs';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];
let failures: DrivenVm['failures'];

beforeEach(async () => {
  ({ vm, qmp, driver, failures } = await driveFakeVm());
});
afterEach(() => qmp.close());

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

  test('the last that is heard of a copy is that all of it is there', async () => {
    vm.instant = false;
    // READY comes right behind an answer that does not know of it.
    vm.qemu.on('query-block-jobs', () => {
      setImmediate(() => vm.makeReady('g0-seed'));
      const job = { type: 'mirror', device: 'g0-seed', 'io-status': 'ok', status: 'running' };
      return { return: [{ ...job, offset: 512, len: 1024, speed: 0, busy: true, ready: false }] };
    });
    const done: string[] = [];
    await driver.seed([linkOf('mirror')], {
      onProgress: ({ doneBytes, totalBytes }) => done.push(`${doneBytes} of ${totalBytes}`),
    });
    expect(done.at(-1)).toBe('1024 of 1024');
  });

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
    expect(await linkedInQemu(qmp, [linkOf('nbd')])).toEqual([]);
    vm.instant = false;
    const asked = vm.qemu.nextRequest('query-block-jobs');
    const seeding = driver.seed([linkOf('nbd')]).catch(() => undefined);
    await asked;
    const [found] = await linkedInQemu(qmp, [linkOf('nbd')]);
    expect(found).toMatchObject({ disk: { id: 'g0', device: 'vb0' }, names: ['g0-seed'] });
    const next = new PrimaryDriver(qmp, FAST);
    await next.adopt([linkOf('nbd')]);
    await next.rollback();
    expect(vm.jobs.size).toBe(0);
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(await linkedInQemu(qmp, [linkOf('nbd')])).toEqual([]);
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
