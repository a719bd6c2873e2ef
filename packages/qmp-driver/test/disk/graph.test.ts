import { describe, expect, test } from '@jest/globals';
import { findDisk, GraphError, listDisks } from '../../src/index.js';
import { DISK_BYTES, FakeVm, refuse } from '../support/fake-vm.js';

describe('findDisk', () => {
  test.each(['vb0', '/machine/peripheral/vb0/virtio-backend', 'quorum0'])(
    'finds the disk that goes by %s',
    async (name) => {
      const qmp = await new FakeVm().connect();
      expect(await findDisk(qmp, name)).toMatchObject({
        device: 'vb0',
        topNode: 'quorum0',
        sizeBytes: DISK_BYTES,
        format: 'quorum',
        quorum: { node: 'quorum0', children: [{ child: 'children.0', node: 'disk0' }] },
        jobs: [],
      });
      await qmp.close();
    },
  );

  test('knows a disk without id by its drive id, its path and its node', async () => {
    const qmp = await new FakeVm().connect();
    const path = '/machine/peripheral-anon/device[1]/virtio-backend';
    for (const name of ['drive1', path, 'plainnode']) {
      const disk = await findDisk(qmp, name);
      expect(disk).toMatchObject({ device: 'drive1', topNode: 'plainnode', format: 'raw' });
      expect(disk.quorum).toBeUndefined();
    }
    await qmp.close();
  });

  test('lists what exists when nothing goes by that name', async () => {
    const qmp = await new FakeVm().connect();
    const failure = findDisk(qmp, 'vb1');
    await expect(failure).rejects.toThrow(GraphError);
    await expect(failure).rejects.toMatchObject({
      code: 'DRIVER_DISK_NOT_FOUND',
      message: 'no disk "vb1"; QEMU has vb0 (node quorum0), drive1 (node plainnode)',
    });
    await qmp.close();
  });

  test('looks below the filter of a job, also one that query-block shows', async () => {
    const vm = new FakeVm();
    const qmp = await vm.connect();
    await qmp.execute('blockdev-add', { driver: 'null-co', 'node-name': 'target' });
    const mirror = { 'job-id': 'own job', device: 'quorum0', target: 'target', sync: 'full' };
    await qmp.executeRaw('blockdev-mirror', mirror);
    const disk = await findDisk(qmp, 'vb0');
    expect(disk).toMatchObject({ topNode: 'quorum0', jobs: ['own job'] });
    expect(disk.quorum?.node).toBe('quorum0');
    expect((await findDisk(qmp, 'drive1')).jobs).toEqual([]);

    // A filter with a name of its own is not skipped by query-block.
    const qdev = '/machine/peripheral/vb0/virtio-backend';
    const inserted = { 'node-name': '#block1', drv: 'mirror_top', image: { 'virtual-size': 4096 } };
    vm.qemu.reply('query-block', [{ device: '', qdev, inserted }]);
    const named = await findDisk(qmp, '#block1');
    expect(named).toMatchObject({ device: 'vb0', topNode: 'quorum0', format: 'quorum' });
    await qmp.close();
  });

  test('asks again when a node came between the answers', async () => {
    const vm = new FakeVm();
    const qmp = await vm.connect();
    vm.qemu.once('query-named-block-nodes', () => ({ return: [] }));
    await expect(findDisk(qmp, 'vb0')).resolves.toMatchObject({ device: 'vb0' });
    expect(vm.sent('query-block')).toHaveLength(2);
    await qmp.close();
  });

  test('gives up on a graph that never holds still', async () => {
    const vm = new FakeVm();
    const qmp = await vm.connect();
    vm.qemu.reply('query-named-block-nodes', []);
    await expect(listDisks(qmp)).rejects.toMatchObject({ code: 'DRIVER_GRAPH_UNSTABLE' });
    expect(vm.sent('query-block')).toHaveLength(5);
    await qmp.close();
  });

  test('says what QEMU said when the graph cannot be read', async () => {
    const vm = new FakeVm();
    const qmp = await vm.connect();
    vm.qemu.on('x-debug-query-block-graph', () => refuse('no such thing', 'CommandNotFound'));
    await expect(listDisks(qmp)).rejects.toMatchObject({
      code: 'DRIVER_GRAPH_UNSTABLE',
      message: 'the block graph cannot be read: no such thing',
    });
    await qmp.close();
  });
});
