/** Errors of a disk and of its link, as QEMU's events tell them. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { waiting } from '@gannet/test-support/waiting.js';
import { driveFakeVm, type DrivenVm, linkOf, protect } from '../support/driver.js';

const { untilSo } = waiting({ patienceMs: 5000 });

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];
let failures: DrivenVm['failures'];
let diskFailures: DrivenVm['diskFailures'];

beforeEach(async () => {
  ({ vm, qmp, driver, failures, diskFailures } = await driveFakeVm());
});
afterEach(() => qmp.close());

const SPACE = 'No space left on device';

function reportBad(node: string, type: 'read' | 'write' | 'flush'): void {
  const where = { 'node-name': node, 'sector-num': 8, 'sectors-count': 8 };
  vm.qemu.emit('QUORUM_REPORT_BAD', { type, error: SPACE, ...where });
}

function ioError(node: string, action: 'ignore' | 'report' | 'stop', device = ''): void {
  const what = { operation: 'write', action, nospace: true, reason: SPACE };
  vm.qemu.emit('BLOCK_IO_ERROR', { device, 'node-name': node, ...what });
}

/** Until QEMU's events have been heard. */
async function heard(): Promise<void> {
  await qmp.execute('query-status', {});
}

describe.each(['replication', 'nbd'] as const)('a quorum with the link %s', (link) => {
  beforeEach(() => protect(driver, linkOf(link)));

  test.each([
    ['write', 'lacks-write'],
    ['flush', 'lacks-write'],
    ['read', 'read-elsewhere'],
  ] as const)('a %s of the own child: %s', async (type, effect) => {
    reportBad('disk0', type);
    await heard();
    expect(failures).toEqual([]);
    const message = `a ${type} of vb0 failed on its own disk (node disk0): ${SPACE}`;
    expect(diskFailures).toEqual([{ device: 'vb0', node: 'disk0', effect, message }]);
  });

  test('a flush of the replica is a failure of the link', async () => {
    reportBad('g0-link', 'flush');
    await heard();
    expect(failures).toMatchObject([{ device: 'vb0', node: 'g0-link' }]);
    expect(diskFailures).toEqual([]);
  });

  test('the quorum of a disk that is not ours means nothing', async () => {
    reportBad('plainnode', 'write');
    await heard();
    expect([...failures, ...diskFailures]).toEqual([]);
  });

  test('nothing is heard once the disks are let go', async () => {
    await driver.runAlone();
    reportBad('disk0', 'write');
    ioError('quorum0', 'stop');
    await heard();
    expect(diskFailures).toEqual([]);
  });
});

describe('a mirror that somebody ends in good order', () => {
  test('completed, it is the disk: the own one lacks writes, and the link is whole', async () => {
    await protect(driver, linkOf('mirror'));
    vm.top = 'g0-seed';
    vm.endJob('g0-seed');
    await untilSo('the failure', () => diskFailures.length > 0);
    expect(failures).toEqual([]);
    const message =
      'somebody completed the mirror of vb0 (job g0-seed): ' +
      'its own disk (node quorum0) gets no more writes';
    const failure = { device: 'vb0', node: 'quorum0', effect: 'lacks-write', message };
    expect(diskFailures).toEqual([failure]);
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message: expect.stringContaining('vb0 cannot leave its replica (node g0-seed)'),
      remedy: expect.stringContaining('Let the secondary take over'),
    });
    expect(vm.sent('blockdev-del')).not.toContainEqual({ 'node-name': 'g0-seed' });
  });

  test('cancelled, it is a link that failed', async () => {
    await protect(driver, linkOf('mirror'));
    vm.endJob('g0-seed');
    await untilSo('the failure', () => failures.length > 0);
    const message = 'the mirror of vb0 (job g0-seed) ended: somebody completed or cancelled it';
    expect(failures).toEqual([{ device: 'vb0', node: 'g0-seed', message }]);
    expect(diskFailures).toEqual([]);
  });
});

describe('an error that reaches the guest', () => {
  beforeEach(() => protect(driver, linkOf('mirror')));

  test.each([
    ['stop', 'stopped'],
    ['report', 'reported'],
  ] as const)('with the action %s', async (action, effect) => {
    // QEMU names the filter that the mirror has put on top.
    const [filter = ''] = [...vm.jobs.values()].map((job) => job.filter);
    ioError(filter, action);
    await heard();
    expect(diskFailures).toMatchObject([{ device: 'vb0', node: filter, effect }]);
  });

  test('is known by the name of the device, too', async () => {
    ioError('#block999', 'report', 'vb0');
    await heard();
    expect(diskFailures).toMatchObject([{ device: 'vb0', effect: 'reported' }]);
  });

  test('stops the guest, whichever disk it is of', async () => {
    ioError('plainnode', 'stop', 'drive1');
    await heard();
    expect(diskFailures).toMatchObject([{ device: 'drive1', effect: 'stopped' }]);
  });

  test.each([
    ['is ignored by QEMU', 'quorum0', 'ignore'],
    ['is of a disk that is not ours, and does not stop the guest', 'plainnode', 'report'],
  ] as const)('%s: it means nothing', async (_what, node, action) => {
    ioError(node, action);
    await heard();
    expect(diskFailures).toEqual([]);
  });
});
