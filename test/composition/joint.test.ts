import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource, WriteBack } from '@gannet/checkpointer';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';
import { afterEach, expect, test } from '@jest/globals';

const BYTES = 1024 * 1024;
const CLOCK = { now: () => 0, sleep: (ms: number) => sleep(ms) };

/** Undone in reverse order after each test. */
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

test('I1, I3, I4: two VMs over NBD, checkpoints, failover, settled to the local file', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-joint-'));
  const names = ['a', 'b'];
  const disks = names.map((name) => ({ name, base: path.join(folder, name), sizeBytes: BYTES }));
  const replica = await Replica.open({ vm: 'vm', disks });
  const source = new ExternalSource();
  new Checkpointer({ source, replica, now: () => 0 }).start();
  const writeBack = new WriteBack({ target: replica, clock: CLOCK });
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

test('I1: a client that takes long replies late gets what was there when it asked', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-joint-'));
  undo.push(() => rm(folder, { recursive: true }));
  const sizeBytes = 8 * BYTES;
  const replica = await Replica.open({
    ...{ vm: 'vm', disks: [{ name: 'a', base: path.join(folder, 'a'), sizeBytes }] },
  });
  undo.push(() => replica.close());
  const source = new ExternalSource();
  new Checkpointer({ source, replica, now: () => 0 }).start();
  const writeBack = new WriteBack({ target: replica, clock: CLOCK });
  undo.push(() => writeBack.stop());
  const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
  const address = { path: path.join(folder, 'nbd.sock') };
  await server.listen(address);
  undo.push(() => server.close());
  const late = await LateWay.listen(path.join(folder, 'late.sock'), address.path);
  undo.push(() => late.close());
  const pvm = await NbdClient.connect(address, { export: 'pvm' });
  const svm = await NbdClient.connect({ path: late.path }, { export: 'svm' });
  undo.push(() => [pvm, svm].forEach((client) => client.destroy()));
  const fill = (epoch: number): Buffer => Buffer.alloc(sizeBytes, epoch);
  const checkpoint = (): void => {
    source.seal();
    source.commit();
  };
  // The first ends the copy: what comes then is in memory.
  checkpoint();
  await pvm.write(0, fill(1));
  checkpoint();
  late.halt();
  const asked = Array.from({ length: 8 }, (_, at) => svm.read(at * BYTES, BYTES));
  await late.halted();
  // The epoch that was read goes by, its memory is given back and taken by those that follow.
  for (let epoch = 2; epoch < 5; epoch++) {
    writeBack.kick();
    await writeBack.idle();
    await pvm.write(0, fill(epoch));
    checkpoint();
  }
  late.goOn();
  const found = await Promise.all(asked);
  expect(found.map((data) => data.equals(Buffer.alloc(BYTES, 1)))).toEqual(found.map(() => true));
});

/** A way to a unix socket on which replies can be held up. */
class LateWay {
  #isHalted = false;
  #upstream: Socket | undefined;

  private constructor(
    readonly path: string,
    private readonly server: Server,
  ) {}

  static async listen(at: string, target: string): Promise<LateWay> {
    const server = createServer();
    const way = new LateWay(at, server);
    server.on('connection', (socket) => {
      const upstream = connect(target);
      way.#upstream = upstream;
      socket.on('data', (data) => upstream.write(data));
      upstream.on('data', (data) => {
        socket.write(data);
        if (way.#isHalted) upstream.pause();
      });
      upstream.on('close', () => socket.destroy());
      socket.on('close', () => upstream.destroy());
    });
    server.listen(at);
    await once(server, 'listening');
    return way;
  }

  /** Takes one piece more. */
  halt(): void {
    this.#isHalted = true;
  }

  async halted(): Promise<void> {
    while (this.#upstream?.isPaused() !== true) await sleep(5);
    // The server's socket is full by now.
    await sleep(50);
  }

  goOn(): void {
    this.#isHalted = false;
    this.#upstream?.resume();
  }

  close(): void {
    this.#upstream?.destroy();
    this.server.close();
  }
}
