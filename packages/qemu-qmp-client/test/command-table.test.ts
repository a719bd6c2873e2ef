import { describe, expect, it } from '@jest/globals';
import { QmpClient, type QmpEvent, type ReturnOf } from '../src/index.js';
import { FakeQemu } from '../src/testing/index.js';
import type { Qemu100 } from '../src/generated/qemu-10.0.js';
import type { Qemu111 } from '../src/generated/qemu-11.1.js';
import type { Qemu72, QueryStatusStatus } from '../src/generated/qemu-7.2.js';

// Checked by the compiler; calling them is not the point.
const usages = {
  events(event: QmpEvent): string {
    switch (event.event) {
      case 'COLO_EXIT':
        return event.data.reason;
      case 'QUORUM_REPORT_BAD':
        return event.data['node-name'];
      case 'STOP':
        // @ts-expect-error -- STOP has no data
        return String(event.data);
      default:
        return event.event;
    }
  },

  async commands(client: QmpClient): Promise<string> {
    await client.execute('blockdev-add', {
      driver: 'quorum',
      'node-name': 'q',
      'vote-threshold': 1,
      'read-pattern': 'fifo',
      children: ['a', { driver: 'nbd', server: { type: 'unix', path: '/s' } }],
    });
    await client.execute('blockdev-add', { driver: 'throttle', 'throttle-group': 'g', file: 'a' });
    // @ts-expect-error -- a quorum wants children
    await client.execute('blockdev-add', { driver: 'quorum', 'vote-threshold': 1 });
    // @ts-expect-error -- no such command; that is what executeRaw() is for
    await client.execute('no-such-command');
    await client.executeRaw('no-such-command');
    // @ts-expect-error -- misspelt
    await client.execute('query-named-block-nodes', { flatt: true });
    await client.execute('yank', { instances: [{ type: 'migration' }] }, { oob: true });
    const { mode } = await client.execute('query-colo-status');
    const [node] = await client.execute('query-named-block-nodes', { flat: true });
    return mode + (node?.['node-name'] ?? '');
  },
};

// The same for all of one release's commands and events.
const generated = {
  async commands(client: QmpClient<Qemu72>): Promise<string> {
    await client.execute('blockdev-add', {
      driver: 'qcow2',
      'node-name': 'disk',
      file: { driver: 'file', filename: '/disk.qcow2', locking: 'auto' },
      backing: null,
    });
    // @ts-expect-error -- a wrong name of an argument
    await client.execute('blockdev-add', { driver: 'file', filename: '/disk', fileName: '/disk' });
    // @ts-expect-error -- file wants a filename
    await client.execute('blockdev-add', { driver: 'file', 'node-name': 'disk' });
    // @ts-expect-error -- no such value
    await client.execute('blockdev-add', { driver: 'file', filename: '/disk', discard: 'maybe' });
    // @ts-expect-error -- a member of another variant
    await client.execute('blockdev-add', { driver: 'file', filename: '/disk', host: 'h' });
    // @ts-expect-error -- query-status takes nothing
    await client.execute('query-status', { flat: true });
    // Members of the device itself are in no schema.
    await client.execute('device_add', { driver: 'virtio-blk-pci', drive: 'disk' });
    // @ts-expect-error -- a device wants a driver
    await client.execute('device_add', { drive: 'disk' });
    const status: QueryStatusStatus = (await client.execute('query-status')).status;
    const [first] = await client.execute('query-cpus-fast');
    // @ts-expect-error -- the list may be empty
    const index: number = first['cpu-index'];
    // @ts-expect-error -- no member of that name
    const wrong = (await client.execute('query-status')).state as unknown;
    return status + String(index) + String(wrong);
  },

  async releases(old: QmpClient<Qemu72>, young: QmpClient<Qemu100>): Promise<string> {
    await young.execute('query-audiodevs');
    // @ts-expect-error -- new since 7.2
    await old.execute('query-audiodevs');
    await old.execute('x-query-rdma');
    // @ts-expect-error -- gone since 7.2
    await young.execute('x-query-rdma');
    const had: keyof ReturnOf<'query-status', Qemu72> = 'singlestep';
    // @ts-expect-error -- gone since 7.2
    const gone: keyof ReturnOf<'query-status', Qemu100> = 'singlestep';
    return had + gone;
  },

  async newest(old: QmpClient<Qemu100>, young: QmpClient<Qemu111>): Promise<void> {
    await young.execute('query-accelerators');
    // @ts-expect-error -- new since 10.0
    await old.execute('query-accelerators');
  },

  events(client: QmpClient<Qemu72>): void {
    client.onEvent('BLOCK_IO_ERROR', ({ data }) => {
      const operation: 'read' | 'write' = data.operation;
      // @ts-expect-error -- no such value
      return operation === 'trim';
    });
    // @ts-expect-error -- no such event
    client.onEvent('BLOCK_IO_EROR', () => undefined);
    client.onEvent('STOP', (event) => {
      // @ts-expect-error -- STOP has no data
      return String(event.data);
    });
    client.on((event) => {
      // Not among those made by hand.
      if (event.event === 'RTC_CHANGE') event.data.offset.toFixed();
    });
  },

  async streams(client: QmpClient<Qemu72>): Promise<string> {
    const { data } = await client.waitForEvent('WATCHDOG');
    for await (const event of client.events()) {
      if (event.event === 'VSERPORT_CHANGE') return event.data.id;
    }
    return data.action;
  },
};

describe('types', () => {
  it('hold', () => {
    expect(Object.keys(usages)).toHaveLength(2);
    expect(Object.keys(generated)).toHaveLength(5);
  });

  it('of a release are of no effect at run time', async () => {
    const qemu = new FakeQemu().reply('query-sgx', { sgx: false });
    const target = { kind: 'stream', stream: qemu.connect() } as const;
    const client = await QmpClient.connect<Qemu72>({ target });
    expect(await client.execute('query-sgx')).toEqual({ sgx: false });
    await client.close();
  });
});
