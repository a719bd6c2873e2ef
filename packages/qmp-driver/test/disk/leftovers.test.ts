/** What an earlier process has linked, whatever the configuration says now. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { linkedInQemu, PrimaryDriver } from '../../src/index.js';
import { driveFakeVm, type DrivenVm, FAST, linkOf, ORIGINAL, protect } from '../support/driver.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];

beforeEach(async () => {
  ({ vm, qmp, driver } = await driveFakeVm());
});
afterEach(() => qmp.close());

describe.each(['replication', 'nbd', 'mirror'] as const)('a disk with the link %s', (link) => {
  beforeEach(() => protect(driver, linkOf(link)));

  test.each([
    ['as it is', linkOf(link)],
    ['renamed', linkOf(link, { id: 'system' })],
    ['with another kind of link', linkOf(link === 'nbd' ? 'mirror' : 'nbd')],
    ['with another name of its device', linkOf(link, { device: 'quorum0', id: 'system' })],
    ['replaced by another disk', linkOf(link, { device: 'drive1', id: 'system' })],
  ])('%s: it is found, and taken away', async (_what, configured) => {
    const found = await linkedInQemu(qmp, [configured]);
    expect(found).toMatchObject([{ disk: { id: 'g0', link } }]);
    const next = new PrimaryDriver(qmp, FAST);
    await next.adopt(found.map(({ disk }) => disk));
    await next.checkGraph();
    await next.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0']);
    expect(vm.jobs.size).toBe(0);
  });
});

test("another program's job and node with names like ours are left alone", async () => {
  const server = { type: 'unix', path: '/elsewhere' } as const;
  for (const node of ['db-link', 'db-seed']) {
    await qmp.execute('blockdev-add', { driver: 'nbd', 'node-name': node, server });
  }
  await qmp.executeRaw('x-blockdev-change', { parent: 'quorum0', node: 'db-link' });
  const mirror = { 'job-id': 'db-seed', device: 'plainnode', target: 'db-seed' };
  await qmp.executeRaw('blockdev-mirror', mirror);
  expect(await linkedInQemu(qmp, [linkOf('nbd')])).toEqual([]);
});
