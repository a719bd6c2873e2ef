/**
 * A replicator inside your own program, with checkpoints by call: no QEMU, no daemon.
 *
 *     npx tsc -b examples && node examples/dist/embed-replicator.js
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource, WriteBack } from '@gannet/checkpointer';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';

const folder = await mkdtemp(path.join(tmpdir(), 'gannet-example-'));
const base = path.join(folder, 'disk.raw');

const replica = await Replica.open({
  vm: 'example',
  disks: [{ name: 'disk', base, sizeBytes: 16 * 1024 * 1024 }],
});
const source = new ExternalSource();
new Checkpointer({ source, replica, now: () => performance.now() }).start();
const clock = {
  now: () => performance.now(),
  sleep: (ms: number, signal?: AbortSignal) => sleep(ms, undefined, signal ? { signal } : {}),
};
const writeBack = new WriteBack({ target: replica, clock });
replica.on(({ kind }) => {
  if (kind === 'backlog') writeBack.kick();
});
const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
const address = await server.listen({ path: path.join(folder, 'nbd.sock') });

const pvm = await NbdClient.connect(address, { export: 'pvm' });
const svm = await NbdClient.connect(address, { export: 'svm' });
const look = async (when: string): Promise<void> => {
  const seen = await svm.read(0, 8);
  console.log(`${when}: the secondary sees "${seen.toString('latin1').replaceAll('\0', '.')}"`);
};

await pvm.write(0, Buffer.from('seeded'));
checkpoint();
await look('protected');
await pvm.write(0, Buffer.from('primary'));
await svm.write(6, Buffer.from('S'));
await look('before the checkpoint');
checkpoint();
await look('after the checkpoint');
await pvm.write(0, Buffer.from('PRIMARY'));
await svm.write(7, Buffer.from('!'));
source.failOver();
await look('after the failover');

await replica.failoverDurable();
await pvm.disconnect().catch(() => undefined);
await svm.disconnect();
await replica.settle();
console.log(`in the base image: "${(await readFile(base)).toString('latin1', 0, 8)}"`);
await writeBack.stop();
await server.close();
await rm(folder, { recursive: true });

/** No write is under way here, so the epoch is complete. */
function checkpoint(): void {
  source.seal();
  source.commit();
}
