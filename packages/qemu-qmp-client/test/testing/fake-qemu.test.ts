import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { QmpClient } from '../../src/index.js';
import { FakeQemu } from '../../src/testing/index.js';
import { rejection, turns } from '../support/harness.js';

function connect(qemu: FakeQemu): Promise<QmpClient> {
  return QmpClient.connect({ target: { kind: 'stream', stream: qemu.connect() } });
}

describe('FakeQemu', () => {
  it('answers as scripted: always, once, later, with an error, or not at all', async () => {
    const qemu = new FakeQemu({ version: { major: 10, minor: 0, micro: 13 } })
      .reply('query-status', { running: true, status: 'running' })
      .once('query-status', () => ({ return: { running: false, status: 'colo' } }))
      .on('stop', async () => {
        await turns(3);
        return { return: {} };
      })
      .on('cont', () => ({ error: { class: 'GenericError', desc: 'no' } }))
      .on('quit', () => 'silence');
    const client = await connect(qemu);
    expect(client.version.major).toBe(10);
    expect((await client.execute('query-status')).status).toBe('colo');
    expect((await client.execute('query-status')).status).toBe('running');
    await client.execute('stop');
    expect((await rejection(client.execute('cont'))).message).toBe('cont: no (GenericError)');
    expect((await rejection(client.execute('quit', {}, { timeoutMs: 10 }))).code).toBe(
      'QMP_COMMAND_TIMEOUT',
    );
    expect(await rejection(client.execute('query-name'))).toMatchObject({
      class: 'CommandNotFound',
    });
    expect(qemu.received.map(({ command }) => command)).toEqual([
      'qmp_capabilities',
      'query-status',
      'query-status',
      'stop',
      'cont',
      'quit',
      'query-name',
    ]);
    await client.close();
  });

  it('emits events to who has negotiated, and tells of commands', async () => {
    const qemu = new FakeQemu().on('cont', (_request, peer) => {
      peer.emit('RESUME');
      return { return: {} };
    });
    const client = await connect(qemu);
    const stopped = client.waitForEvent('STOP');
    qemu.emit('STOP');
    await stopped;
    const request = qemu.nextRequest('cont');
    const resumed = client.waitForEvent('RESUME');
    await client.execute('cont', {});
    await resumed;
    expect(await request).toMatchObject({ command: 'cont', oob: false });
    await client.close();
  });

  it('listens on a unix socket in a folder that it removes', async () => {
    const { qemu, path, close } = await FakeQemu.listen();
    qemu.reply('query-name', { name: 'vm' });
    const client = await QmpClient.connect({ target: { kind: 'unix', path } });
    expect(await client.execute('query-name')).toEqual({ name: 'vm' });
    await close();
    expect((await client.closed)?.code).toBe('QMP_CONNECTION_LOST');
    await expect(stat(dirname(path))).rejects.toThrow('ENOENT');
  });

  it('hangs up, half-closes, and dribbles bytes', async () => {
    const qemu = new FakeQemu({ onConnect: (peer) => (peer.chunkBytes = 1) });
    const first = await connect(qemu);
    qemu.peers[0]!.halfClose();
    expect((await first.closed)?.code).toBe('QMP_CONNECTION_LOST');
    await turns();
    expect(qemu.peers).toHaveLength(0);
    const second = await connect(qemu);
    await qemu.drop();
    expect((await second.closed)?.code).toBe('QMP_CONNECTION_LOST');
  });
});
