/** The end of COLO, where QEMU does not know any more that it is in COLO. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type DriverError, PrimaryDriver } from '../../src/index.js';
import { driveFakeVm, type DrivenVm, FAST, linkOf, ORIGINAL, protect } from '../support/driver.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: PrimaryDriver;
let trouble: DriverError[];

beforeEach(async () => {
  ({ vm, qmp } = await driveFakeVm());
  trouble = [];
  driver = new PrimaryDriver(qmp, { ...FAST, onTrouble: (error) => trouble.push(error) });
});
afterEach(() => qmp.close());

test("somebody's migrate_cancel: the guest goes on alone, and it is told why", async () => {
  await protect(driver, linkOf('replication'));
  vm.migrationConnected = true;
  await qmp.execute('migrate_cancel');
  expect(vm.status).toBe('finish-migrate');
  await driver.runAlone();
  expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  expect(vm.yanked).toContain('migration');
  expect(vm.status).toBe('running');
  expect(trouble).toMatchObject([
    { code: 'DRIVER_COLO_NOT_LEFT', message: expect.stringMatching(/cancelling for good/) },
  ]);
  expect(await driver.preflight([linkOf('replication')])).toContainEqual(
    expect.objectContaining({ code: 'migration-under-way', severity: 'error' }),
  );
});

test('a later process, too', async () => {
  await protect(driver, linkOf('nbd'));
  await qmp.execute('migrate_cancel');
  const next = new PrimaryDriver(qmp, {
    ...{ ...FAST, stepTimeoutMs: 10_000 },
    onTrouble: (error) => trouble.push(error),
  });
  await next.adopt([linkOf('nbd')]);
  await next.runAlone();
  expect(vm.status).toBe('running');
  expect(trouble).toHaveLength(1);
});

test('a migration that is stopped on its way to COLO is told to nobody', async () => {
  vm.migrateTo = 'active';
  await driver.seed([linkOf('nbd')]);
  await driver.attach([linkOf('nbd')]);
  const started = driver.start({ uri: 'unix:/m', periodMs: 500, timeoutMs: 100 });
  await expect(started).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
  await driver.rollback();
  expect(trouble).toEqual([]);
  expect(vm.xColo).toBe(false);
});
