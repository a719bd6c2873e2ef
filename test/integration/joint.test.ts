import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource, WriteBack } from '@gannet/checkpointer';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';
import { expect, test } from '@jest/globals';

const BYTES = 1024 * 1024;

test('I1, I3, I4: two VMs over NBD, checkpoints, failover, settled to the local file', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-joint-'));
  const names = ['a', 'b'];
  const disks = names.map((name) => ({ name, base: path.join(folder, name), sizeBytes: BYTES }));
  const replica = await Replica.open({ vm: 'vm', disks });
  const source = new ExternalSource();
  new Checkpointer({ source, replica, now: () => 0 }).start();
  const writeBack = new WriteBack({
    target: replica,
    clock: { now: () => 0, sleep: (ms) => sleep(ms) },
  });
  replica.on(({ kind }) => {
    if (kind === 'backlog') writeBack.kick();
  });
  const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
  const address = await server.listen({ path: path.join(folder, 'nbd.sock') });
  const connect = (side: string): Promise<NbdClient[]> =>
    Promise.all(names.map((name) => NbdClient.connect(address, { export: `${name}-${side}` })));
  const [pvm, svm] = await Promise.all([connect('pvm'), connect('svm')]);
  const primary = names.map(() => Buffer.alloc(BYTES));
  const secondary = names.map(() => Buffer.alloc(BYTES));
  let seed = 1;
  const random = (end: number): number => (seed = (seed * 48_271) % 2_147_483_647) % end;
  const scribble = async (clients: NbdClient[], models: Buffer[]): Promise<void> => {
    for (let count = 0; count < 12; count++) {
      const disk = random(2);
      const length = 1 + random(20_000);
      const offset = random(BYTES - length);
      const data = Buffer.alloc(length, 1 + random(255));
      if (random(5) === 0) {
        await clients[disk]!.writeZeroes(offset, length);
        models[disk]!.fill(0, offset, offset + length);
      } else {
        await clients[disk]!.write(offset, data);
        data.copy(models[disk]!, offset);
      }
    }
  };
  const expectSeen = async (): Promise<void> => {
    const seen = await Promise.all(svm.map((client) => client.read(0, BYTES)));
    expect(seen.map((contents, disk) => contents.equals(secondary[disk]!))).toEqual([true, true]);
  };

  await scribble(pvm, primary);
  for (let epoch = 0; epoch < 15; epoch++) {
    source.seal();
    source.commit();
    for (const disk of [0, 1]) primary[disk]!.copy(secondary[disk]!);
    await expectSeen();
    await Promise.all([scribble(pvm, primary), scribble(svm, secondary)]);
    await expectSeen();
  }
  source.failOver();
  await expectSeen();
  await replica.failoverDurable();
  await scribble(svm, secondary);
  await Promise.all(svm.map((client) => client.flush()));
  await expectSeen();
  await replica.settle();
  const contents = await Promise.all(disks.map(({ base }) => readFile(base)));
  expect(contents.map((found, disk) => found.equals(secondary[disk]!))).toEqual([true, true]);
  await Promise.all([...pvm, ...svm].map((client) => client.disconnect().catch(() => undefined)));
  await writeBack.stop();
  await server.close();
  await rm(folder, { recursive: true });
});
