import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PrimaryDriver, SecondaryDriver } from '../../src/index.js';
import { COLO, driveFakeVm, type DrivenVm, FAST, linkOf } from '../support/driver.js';
import { refuse } from '../support/fake-vm.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];

beforeEach(async () => {
  ({ vm, qmp, driver } = await driveFakeVm());
});
afterEach(() => qmp.close());

async function enterColo(): Promise<void> {
  await driver.seed([linkOf('mirror')]);
  await driver.attach([linkOf('mirror')]);
  await driver.start(COLO);
}

const DEFAULT = { 'return-path': false, multifd: false, 'x-colo': false };
const OTHERS = { 'return-path': true, multifd: true, 'x-colo': false };

/** What COLO runs with, by what a QEMU needs and how its capabilities were before. */
describe.each([
  { isReturnPathNeeded: false, before: DEFAULT, during: { ...DEFAULT, 'x-colo': true } },
  { isReturnPathNeeded: false, before: OTHERS, during: { ...DEFAULT, 'x-colo': true } },
  {
    isReturnPathNeeded: true,
    before: DEFAULT,
    during: { 'return-path': true, multifd: false, 'x-colo': true },
  },
  { isReturnPathNeeded: true, before: OTHERS, during: { ...OTHERS, 'x-colo': true } },
])('return path needed: $isReturnPathNeeded, before: $before', (row) => {
  beforeEach(() => {
    vm.isReturnPathNeeded = row.isReturnPathNeeded;
    vm.capabilities = { ...row.before };
  });

  test('a primary enters COLO with what it needs, and has the others back afterwards', async () => {
    const migrated = vm.qemu.nextRequest('migrate').then(() => ({ ...vm.capabilities }));
    await enterColo();
    expect(await migrated).toEqual(row.during);
    await driver.runAlone();
    expect(vm.capabilities).toEqual(row.before);
  });

  test('a second attempt does not take the first for how it was before', async () => {
    vm.migrateTo = 'failed';
    await expect(enterColo()).rejects.toMatchObject({ code: 'DRIVER_COLO_NOT_ENTERED' });
    vm.migrateTo = 'colo';
    await driver.start(COLO);
    await driver.rollback();
    expect(vm.capabilities).toEqual(row.before);
  });

  test('a secondary waits with them', async () => {
    vm.status = 'inmigrate';
    await new SecondaryDriver(qmp).prepare();
    expect(vm.capabilities).toEqual(row.during);
  });

  test('a secondary that is the VM now has them back', async () => {
    vm.status = 'inmigrate';
    const secondary = new SecondaryDriver(qmp, { pollMs: 5 });
    await secondary.prepare();
    vm.status = 'running';
    vm.colo = { mode: 'none', 'last-mode': 'secondary', reason: 'request' };
    vm.migration = 'completed';
    await secondary.failOver({ timeoutMs: 2000 });
    await secondary.moveToLocal([], () => Promise.resolve());
    expect(vm.capabilities).toEqual(row.before);
  });
});

test('a later process clears x-colo, and leaves alone what it has not seen before', async () => {
  vm.isReturnPathNeeded = true;
  await enterColo();
  const next = new PrimaryDriver(qmp, FAST);
  await next.adopt([linkOf('mirror')]);
  await next.runAlone();
  expect(vm.capabilities).toEqual({ ...DEFAULT, 'return-path': true });
});

test('a capability that is still in use is not taken away under COLO', async () => {
  vm.status = 'inmigrate';
  const secondary = new SecondaryDriver(qmp, { pollMs: 5 });
  await secondary.prepare();
  vm.status = 'running';
  vm.migration = 'colo';
  await secondary.moveToLocal([], () => Promise.resolve());
  expect(vm.xColo).toBe(true);
});

test("another refusal is an error, with QEMU's words", async () => {
  const words = "Capability 'switchover-ack' requires capability 'return-path'";
  vm.qemu.on('migrate-set-capabilities', () => refuse(words));
  await expect(enterColo()).rejects.toMatchObject({
    code: 'DRIVER_COLO_UNSUPPORTED',
    message: `QEMU does not take the migration capability x-colo: ${words}`,
  });
});
