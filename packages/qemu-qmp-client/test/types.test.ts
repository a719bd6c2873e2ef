import { describe, expect, it } from '@jest/globals';
import type { QmpClient, QmpEvent } from '../src/index.js';

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

describe('types', () => {
  it('hold', () => {
    expect(Object.keys(usages)).toHaveLength(2);
  });
});
