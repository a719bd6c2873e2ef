import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu } from 'qemu-qmp-client/testing';
import { BufferedOutput, ComparedOutput, WalledCards } from '../../src/network/held-output.js';
import { DONE, refuse } from '../support/fake-vm.js';

const ANSWER = Buffer.from('\0\0\0\x19COLO_COMPARE_GET_XEN_INIT');

let folder: string;
let server: Server;
/** Whether colo-compare answers. */
let isAnswered: boolean;
let qemu: FakeQemu;
let qmp: QmpClient;
/** Commands that change something, in short. */
let done: string[];
let objects: Map<string, Record<string, unknown>>;
let chardevs: string[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-held-'));
  isAnswered = true;
  server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    // One greeting in a chunk, with a checkpoint before it or not.
    socket.on('data', (chunk) => {
      if (chunk.includes('CHECKPOINT')) done.push('let go');
      if (isAnswered && chunk.includes('INIT')) socket.write(ANSWER);
    });
  });
  done = [];
  objects = new Map();
  chardevs = [];
  qemu = new FakeQemu();
  qemu.on('object-add', ({ arguments: args }) => {
    const { 'qom-type': type, id, ...rest } = args;
    objects.set(String(id), rest);
    done.push(`+ ${String(type)}`);
    return DONE;
  });
  qemu.on('object-del', ({ arguments: { id } }) => {
    done.push(`- ${String(id)}`);
    return objects.delete(String(id)) ? DONE : refuse('not found');
  });
  qemu.on('chardev-add', ({ arguments: { id } }) => {
    chardevs.push(String(id));
    if (id === 'gannet-notices-net0') server.listen(path.join(folder, 'notices'));
    return DONE;
  });
  qemu.on('chardev-remove', ({ arguments: { id } }) => {
    chardevs = chardevs.filter((name) => name !== id);
    return DONE;
  });
  qemu.on('qom-list', () => ({ return: [...objects.keys()].map((name) => ({ name, type: 'o' })) }));
  qemu.on('query-chardev', () => ({
    return: chardevs.map((label) => ({ label, filename: '', 'frontend-open': true })),
  }));
  qemu.on('qom-set', ({ arguments: { path: object, value } }) => {
    done.push(`${String(object)} ${String(value)}`);
    return DONE;
  });
  qemu.on('xen-colo-do-checkpoint', () => {
    done.push('numbers forgotten');
    return DONE;
  });
  qemu.reply('announce-self');
  qmp = await QmpClient.connect({ target: { kind: 'stream', stream: qemu.connect() } });
});
afterEach(async () => {
  await qmp.close();
  server.close();
  await rm(folder, { recursive: true });
});

function card() {
  return {
    netdev: 'net0',
    mirror: { type: 'unix', path: '/run/m' },
    compare: { type: 'unix', path: '/run/c' },
    noticesPath: path.join(folder, 'notices'),
  } as const;
}

describe('compared', () => {
  const output = (): ComparedOutput =>
    new ComparedOutput(qmp, {
      ...{ cards: [card()], commandTimeoutMs: 300 },
      onDiffer: () => undefined,
    });

  test('colo-compare tells us, and lets go at a checkpoint', async () => {
    const compared = output();
    await compared.connect();
    expect(objects.get('gannet-compare-net0')).toMatchObject({
      ...{ notify_dev: 'gannet-notices-net0', vnet_hdr_support: true },
    });
    expect(chardevs).toContain('gannet-notices-net0');
    await compared.release();
    await compared.join();
    await compared.release();
    expect(done).toEqual([
      ...['+ iothread', '+ colo-compare', 'let go'],
      ...['+ filter-mirror', '+ filter-redirector', '+ filter-redirector', 'let go'],
    ]);
    await compared.leave();
    await compared.leave();
    expect([...objects.keys(), ...chardevs]).toEqual([]);
  });

  test('nothing is left if it does not answer', async () => {
    isAnswered = false;
    await expect(output().connect()).rejects.toMatchObject({ code: 'DRIVER_NETWORK_REFUSED' });
    expect([...objects.keys(), ...chardevs]).toEqual([]);
  });
});

test('buffered: held from join() on, and let go at a checkpoint', async () => {
  const buffered = new BufferedOutput(qmp, { cards: [card()] });
  await buffered.connect();
  await buffered.release();
  expect(done).toEqual([]);
  await buffered.join();
  expect(objects.get('gannet-buffer-net0')).toEqual({
    ...{ netdev: 'net0', queue: 'rx', interval: 0xffff_ffff },
  });
  await buffered.release();
  const filter = '/objects/gannet-buffer-net0';
  expect(done).toEqual(['+ filter-buffer', `${filter} off`, `${filter} on`]);
  await buffered.leave();
  await buffered.leave();
  expect([...objects.keys()]).toEqual([]);
});

describe('the secondary', () => {
  test.each([
    [
      'compared',
      ['filter-redirector', 'filter-redirector', 'filter-redirector', 'filter-rewriter'],
    ],
    ['buffered', ['filter-redirector']],
  ] as const)('%s: walled, and open', async (way, filters) => {
    const walled = new WalledCards(qmp, way, { cards: [card()] });
    await walled.prepare();
    expect(done).toEqual(filters.map((type) => `+ ${type}`));
    expect(objects.get('gannet-wall-net0')).toMatchObject({ queue: 'all' });
    done = [];
    await walled.committed();
    expect(done).toEqual(way === 'compared' ? ['numbers forgotten'] : []);
    await walled.open();
    expect([...objects.keys()]).toEqual(way === 'compared' ? ['gannet-rewriter-net0'] : []);
    expect(chardevs).toEqual([]);
  });
});
