import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type LinkKind, PrimaryDriver } from '../src/index.js';
import {
  COLO,
  driveFakeVm,
  type DrivenVm,
  FAST,
  linkOf,
  ORIGINAL,
  protect,
} from './support/driver.js';
import { DISK_BYTES, DONE, refuse } from './support/fake-vm.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];
let failures: DrivenVm['failures'];

beforeEach(async () => {
  ({ vm, qmp, driver, failures } = await driveFakeVm());
});
afterEach(() => qmp.close());

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
    await driver.start(COLO);
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
    await driver.start(COLO);
    await driver.finishSeed();
  });

  test('mirror: it stays, and needs no quorum', async () => {
    await protect(driver, linkOf('mirror', { device: 'drive1' }));
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
    await expect(driver.start(COLO)).rejects.toMatchObject({ code: 'DRIVER_NOT_SEEDED' });
    expect(vm.sent('migrate')).toEqual([]);
  });

  async function attached(link: LinkKind = 'replication'): Promise<void> {
    await driver.seed([linkOf(link)]);
    await driver.attach([linkOf(link)]);
  }

  test('no such capability', async () => {
    await attached();
    vm.qemu.on('migrate-set-capabilities', () => refuse('Invalid parameter x-colo'));
    await expect(driver.start(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_UNSUPPORTED' });
  });

  test('the migration is refused', async () => {
    await attached();
    vm.qemu.on('migrate', () => refuse('There is a migration process in progress'));
    await expect(driver.start(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_REFUSED' });
    expect(vm.sent('migrate_cancel')).toEqual([]);
  });

  test("it fails, with QEMU's error-desc", async () => {
    await attached();
    vm.migrateTo = 'failed';
    vm.errorDesc = "Failed to connect to '/nowhere/mig.sock': No such file or directory";
    await expect(driver.start(COLO)).rejects.toMatchObject({
      code: 'DRIVER_COLO_NOT_ENTERED',
      message: `the migration to ${COLO.uri} failed: ${vm.errorDesc}`,
    });
  });

  test('it completes as an ordinary migration', async () => {
    await attached();
    vm.migrateTo = 'completed';
    vm.status = 'postmigrate';
    await expect(driver.start(COLO)).rejects.toMatchObject({ code: 'DRIVER_COLO_NOT_ENTERED' });
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_GUEST_STOPPED' });
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.sent('cont')).toEqual([]);
  });

  test('it takes too long, and is cut', async () => {
    await attached();
    vm.migrateTo = 'active';
    const starting = driver.start({ ...COLO, timeoutMs: 50 });
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    expect(vm.migration).toBe('failed');
  });

  test('the caller aborts, and it is cut', async () => {
    await attached();
    vm.migrateTo = 'active';
    const controller = new AbortController();
    const starting = driver.start({ ...COLO, signal: controller.signal });
    await vm.qemu.nextRequest('query-migrate');
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
    expect(vm.migration).toBe('failed');
  });

  test('tells how much of the memory is there', async () => {
    await attached();
    const told: number[][] = [];
    let looks = 0;
    vm.qemu.on('query-migrate', () => {
      const ram = { transferred: 9, total: 100, remaining: 100 - 40 * looks };
      return { return: looks++ < 2 ? { status: 'active', ram } : { status: 'colo' } };
    });
    await driver.start({ ...COLO, onProgress: (...bytes) => told.push(bytes) });
    expect(told).toEqual([
      [0, 100],
      [40, 100],
    ]);
  });

  /** The migration goes through these, one for each look. */
  function goThrough(...statuses: readonly string[]): void {
    vm.qemu.on('migrate', () => {
      vm.migration = statuses[0];
      let looks = 0;
      vm.qemu.on('query-migrate', () => {
        vm.migration = statuses[Math.min(looks++, statuses.length - 1)];
        return { return: { status: vm.migration, 'error-desc': vm.errorDesc } };
      });
      return DONE;
    });
  }

  test("goes through a release's new statuses on its way", async () => {
    await attached();
    goThrough('setup', 'active', 'device', 'colo');
    await driver.start(COLO);
  });

  test('one that is failing has not failed yet: its reason comes with the end', async () => {
    await attached();
    vm.errorDesc = 'Broken pipe';
    goThrough('setup', 'failing', 'failing', 'failed');
    await expect(driver.start(COLO)).rejects.toMatchObject({
      code: 'DRIVER_COLO_NOT_ENTERED',
      message: `the migration to ${COLO.uri} failed: Broken pipe`,
    });
  });

  test('a rollback waits for the end of one that is failing', async () => {
    await attached();
    goThrough('failing', 'failing', 'failing', 'failed');
    await expect(driver.start(COLO)).rejects.toThrow();
    goThrough('failing', 'failing', 'failed');
    await qmp.execute('migrate', { uri: COLO.uri });
    await driver.rollback();
    expect(vm.migration).toBe('failed');
  });

  test('a caller that aborts when COLO has just begun does not cancel it', async () => {
    await attached();
    const controller = new AbortController();
    vm.qemu.on('query-migrate', () => {
      controller.abort();
      return { return: { status: 'device' } };
    });
    const starting = driver.start({ ...COLO, signal: controller.signal });
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
    vm.qemu.on('query-migrate', () => ({ return: { status: vm.migration } }));
    await driver.rollback();
    expect(vm.status).toBe('running');
    expect(vm.migration).toBe('completed');
  });

  test('the mirror is lost on the way', async () => {
    await attached();
    vm.migrateTo = 'active';
    const starting = driver.start(COLO);
    await vm.qemu.nextRequest('query-migrate');
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_SEED_LOST' });
    expect(vm.migration).toBe('failed');
  });

  test('finishSeed tells of a mirror that was lost', async () => {
    await attached();
    await driver.start(COLO);
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await expect(driver.finishSeed()).rejects.toMatchObject({ code: 'DRIVER_SEED_LOST' });
  });
});

describe('in COLO', () => {
  test('a checkpoint now is the same period set again', async () => {
    await protect(driver, linkOf('nbd'));
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
    await protect(driver, linkOf('nbd'));
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
    await protect(driver, linkOf('replication'));
    await report('g0-link', 'write');
    expect(failures).toEqual([]);
    await report('g0-link', 'flush');
    expect(failures.map(({ message }) => message)).toEqual([
      'a flush of vb0 did not reach its replica (node g0-link): Input/output error',
    ]);
  });
});
