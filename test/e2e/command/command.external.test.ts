import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import {
  type Json,
  dir,
  diskOf,
  gannet,
  inFreshFolder,
  secondaryConfig,
  stagesOf,
  startDaemon,
  until,
  undoAfter,
} from './support.js';

const JOURNAL_HEADER_BYTES = 64;

inFreshFolder();

describe('an external source', () => {
  const block = (byte: number): Buffer => Buffer.alloc(4096, byte);

  async function external() {
    const daemon = await startDaemon(
      'secondary',
      dir,
      secondaryConfig(diskOf(), { source: 'external' }),
    );
    const connect = async (name: string): Promise<NbdClient> => {
      const client = await NbdClient.connect(
        { path: path.join(dir, 'replica.nbd') },
        { export: name },
      );
      undoAfter(() => client.destroy());
      return client;
    };
    const call = async (method: string): Promise<Json> =>
      (await daemon.client.request(method)) as Json;
    const refusal = (method: string): Promise<unknown> =>
      call(method).catch((error: unknown) => error);
    return { daemon, connect, call, refusal };
  }

  it('seals, commits, aborts and fails over by call', async () => {
    const { daemon, connect, call, refusal } = await external();
    const config = ['-c', daemon.configPath];
    const [pvm, svm] = [await connect('pvm'), await connect('svm')];
    await pvm.write(0, block(1));
    expect(await call('seal')).toMatchObject({ state: 'seeding' });
    expect(await refusal('seal')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await call('commit')).toMatchObject({ state: 'protected', epoch: 1 });
    expect(await refusal('commit')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await refusal('abort')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await svm.read(0, 4096)).toEqual(block(1));

    await pvm.write(0, block(2));
    await svm.write(8192, block(3));
    expect(await svm.read(0, 4096)).toEqual(block(1));
    expect(await svm.read(8192, 4096)).toEqual(block(3));
    await call('seal');
    let answered = false;
    const sealed = svm.read(0, 4096).finally(() => (answered = true));
    for (let turn = 0; turn < 10; turn++) await call('status');
    expect(answered).toBe(false);
    expect(await call('commit')).toMatchObject({ epoch: 2 });
    expect(await sealed).toEqual(block(2));
    expect(await svm.read(8192, 4096)).toEqual(block(0));

    await pvm.write(0, block(4));
    await svm.write(12288, block(5));
    await call('seal');
    expect(await call('abort')).toMatchObject({ state: 'protected', epoch: 2 });
    expect(await svm.read(0, 4096)).toEqual(block(2));
    expect((await gannet('failover', ...config)).code).toBe(4);

    pvm.destroy();
    await until(
      () => gannet('status', ...config),
      ({ json }) => json['link'] !== 'connected',
    );
    expect(await gannet('failover', '--force', ...config)).toMatchObject({
      ...{ code: 0, json: { epoch: 3 } },
    });
    expect(await svm.read(0, 4096)).toEqual(block(2));
    expect(await svm.read(12288, 4096)).toEqual(block(5));
    await expect(connect('pvm')).rejects.toThrow(/not taking a new primary/);
    expect(await refusal('seal')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    await svm.write(16384, block(6), { fua: true });
    expect(await daemon.kill('SIGKILL')).toBeNull();

    // Written back as quickly as that, there is nothing left but its head.
    const journal = await stat(path.join(dir, 'lab.journal'));
    const stages = journal.size > JOURNAL_HEADER_BYTES ? ['replay', 'done'] : [];
    const recovered = await gannet('recover', ...config);
    expect(recovered).toMatchObject({ code: 0, json: { recovered: [{ state: 'retired' }] } });
    expect(stagesOf(recovered)).toEqual(stages);
    const base = await open(path.join(dir, 'base0.raw'), 'r');
    const found = await base.read(Buffer.alloc(20480), 0, 20480, 0);
    await base.close();
    expect(found.buffer).toEqual(Buffer.concat([2, 0, 0, 5, 6].map(block)));
  });

  it('learns of a commit without its primary: the replica has diverged', async () => {
    const { daemon, connect, call, refusal } = await external();
    const pvm = await connect('pvm');
    await call('seal');
    await call('commit');
    await pvm.write(0, block(1));
    pvm.destroy();
    await until(
      () => call('status'),
      ({ link }) => link !== 'connected',
    );
    await call('seal');
    expect(await refusal('commit')).toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    expect(await gannet('status', '-c', daemon.configPath)).toMatchObject({
      code: 3,
      json: { state: 'diverged' },
    });
    expect((await gannet('failover', '--force', '-c', daemon.configPath)).code).toBe(4);
    await expect(connect('svm')).rejects.toThrow(/diverged/);
  });

  it('is asked for by configuration: a COLO replica takes no such call', async () => {
    const daemon = await startDaemon('secondary', dir, secondaryConfig(diskOf()));
    for (const method of ['seal', 'commit', 'abort'] as const) {
      const error: unknown = await daemon.client.call(method).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    }
  });
});
