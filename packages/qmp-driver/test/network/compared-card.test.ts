import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu } from 'qemu-qmp-client/testing';
import { Deadline } from '../../src/deadline.js';
import type { NetworkContext, ComparedCard } from '../../src/network/compared-card.js';
import {
  connectNetwork,
  joinedNetwork,
  joinNetwork,
  leaveNetwork,
  probeNetwork,
} from '../../src/network/primary-network.js';
import { openNetwork, prepareNetwork } from '../../src/network/secondary-network.js';
import { chardevNames } from '../../src/network/compared-card.js';
import { yankAll } from '../../src/yank.js';
import { DONE, refuse } from '../support/fake-vm.js';

const LINK: ComparedCard = {
  netdev: 'net0',
  mirror: { type: 'unix', path: '/run/m' },
  compare: { type: 'inet', host: '127.0.0.1', port: 9004 },
};

let qemu: FakeQemu;
let qmp: QmpClient;
let context: NetworkContext;
/** In the order in which they were added: for filters, that of the chain. */
let objects: string[];
let chardevs: string[];

beforeEach(async () => {
  objects = ['iothread0'];
  chardevs = ['console'];
  qemu = new FakeQemu();
  const adds = (list: () => string[]) => (request: { arguments: Record<string, unknown> }) => {
    list().push(String(request.arguments['id']));
    return DONE;
  };
  const removes = (list: string[], id: unknown) => {
    if (!list.includes(String(id))) return refuse(`${String(id)} not found`);
    list.splice(list.indexOf(String(id)), 1);
    return DONE;
  };
  qemu.on(
    'object-add',
    adds(() => objects),
  );
  qemu.on(
    'chardev-add',
    adds(() => chardevs),
  );
  qemu.on('object-del', ({ arguments: args }) => removes(objects, args['id']));
  qemu.on('chardev-remove', ({ arguments: args }) => removes(chardevs, args['id']));
  qemu.on('qom-list', () => ({ return: objects.map((name) => ({ name, type: 'child' })) }));
  qemu.on('query-chardev', () => ({
    return: chardevs.map((label) => ({ label, filename: '', 'frontend-open': true })),
  }));
  qemu.reply('announce-self');
  qmp = await QmpClient.connect({ target: { kind: 'stream', stream: qemu.connect() } });
  const deadline = new Deadline('a test', { timeoutMs: 20_000 });
  context = { qmp, deadline, commandTimeoutMs: 10_000 };
});
afterEach(() => qmp.close());

const sent = (command: string) =>
  qemu.received.filter((one) => one.command === command).map((one) => one.arguments);

describe('the primary', () => {
  test('compares nothing before COLO: only join() leads packets away from the guest', async () => {
    await connectNetwork(context, [LINK]);
    expect(sent('object-add').map((args) => args['qom-type'])).toEqual([
      'iothread',
      'colo-compare',
    ]);
    await joinNetwork(context, [LINK]);
    expect(objects.slice(-3)).toEqual([
      'gannet-mirror-net0',
      'gannet-release-net0',
      'gannet-capture-net0',
    ]);
  });

  test('connects to where the secondary listens, and to itself by random names', async () => {
    await connectNetwork(context, [LINK]);
    const backends = new Map(sent('chardev-add').map((args) => [args['id'], args['backend']]));
    expect(backends.get('gannet-mirrored-net0')).toMatchObject({
      data: { addr: { type: 'unix', data: { path: '/run/m' } }, server: false },
    });
    expect(backends.get('gannet-secondary-net0')).toMatchObject({
      data: { addr: { type: 'inet', data: { host: '127.0.0.1', port: '9004' } } },
    });
    expect(backends.get('gannet-captured-net0')).toMatchObject({
      data: { addr: { data: { abstract: true } }, server: true, wait: false },
    });
  });

  test('takes everything away again, and nothing of others', async () => {
    await connectNetwork(context, [LINK]);
    await joinNetwork(context, [LINK]);
    await leaveNetwork(context, [LINK]);
    expect({ objects, chardevs }).toEqual({ objects: ['iothread0'], chardevs: ['console'] });
    // The guest's way out first; colo-compare's way out last.
    const order = sent('object-del').map(({ id }) => id);
    expect(order[0]).toBe('gannet-capture-net0');
    expect(order.at(-1)).toBe('gannet-release-net0');
    await leaveNetwork(context, [LINK]);
  });

  test('is known to one that comes later by what is in QEMU', async () => {
    const other: ComparedCard = { ...LINK, netdev: 'net1' };
    await connectNetwork(context, [LINK, other]);
    expect(await joinedNetwork(context, [LINK, other])).toEqual([]);
    await joinNetwork(context, [LINK]);
    expect(await joinedNetwork(context, [LINK, other])).toEqual([LINK]);
    await leaveNetwork(context, [LINK, other]);
    expect(await joinedNetwork(context, [LINK, other])).toEqual([]);
  });

  test('what cannot be connected leaves nothing behind, and names netdev and cause', async () => {
    qemu.on('object-add', ({ arguments: args }) => {
      if (args['qom-type'] === 'colo-compare') return refuse('no such chardev');
      objects.push(String(args['id']));
      return DONE;
    });
    await expect(connectNetwork(context, [LINK])).rejects.toMatchObject({
      code: 'DRIVER_NETWORK_REFUSED',
      message: 'QEMU refuses a colo-compare for the network card at net0: no such chardev',
      remedy: expect.stringContaining('vhost=on'),
    });
    expect({ objects, chardevs }).toEqual({ objects: ['iothread0'], chardevs: ['console'] });
  });

  test('a card that takes no filter is told before anything is begun', async () => {
    await probeNetwork(context, [LINK]);
    expect(objects).toEqual(['iothread0']);
    qemu.on('object-add', () => refuse('Vhost is not supported'));
    await expect(probeNetwork(context, [LINK])).rejects.toMatchObject({
      code: 'DRIVER_NETWORK_REFUSED',
    });
  });

  test('what hangs on a peer that takes no packets is cut with the migration', async () => {
    qemu.reply('query-yank', [
      { type: 'chardev', id: 'gannet-mirrored-net0' },
      { type: 'chardev', id: 'console' },
      { type: 'chardev', id: 'gannet-qmp' },
      { type: 'migration' },
    ]);
    qemu.reply('yank');
    await yankAll(qmp, { nodes: [], chardevs: chardevNames([LINK]), migration: true }, 10_000);
    expect(sent('yank')[0]).toEqual({
      instances: [{ type: 'chardev', id: 'gannet-mirrored-net0' }, { type: 'migration' }],
    });
    await yankAll(qmp, { nodes: [], chardevs: [], migration: false }, 10_000);
    expect(sent('yank')).toHaveLength(1);
  });
});

describe('the secondary', () => {
  test('has a wall before its back end until the failover, and keeps the rewriter', async () => {
    await prepareNetwork(context, [LINK]);
    expect(objects.slice(1)).toEqual([
      'gannet-wall-net0',
      'gannet-arrive-net0',
      'gannet-leave-net0',
      'gannet-rewriter-net0',
    ]);
    expect(sent('announce-self')).toHaveLength(0);
    await openNetwork(context, [LINK]);
    expect(objects.slice(1)).toEqual(['gannet-rewriter-net0']);
    expect(chardevs).toEqual(['console']);
    expect(sent('announce-self')).toHaveLength(1);
  });

  test('can be prepared again by a restarted daemon', async () => {
    await prepareNetwork(context, [LINK]);
    await prepareNetwork(context, [LINK]);
    expect(objects).toHaveLength(5);
  });

  test('says so when it cannot be opened, after it has tried all', async () => {
    await prepareNetwork(context, [LINK]);
    qemu.once('object-del', () => refuse('in use'));
    await expect(openNetwork(context, [LINK])).rejects.toMatchObject({
      code: 'DRIVER_NETWORK_STUCK',
    });
    await openNetwork(context, [LINK]);
    expect(objects.slice(1)).toEqual(['gannet-rewriter-net0']);
  });
});
