/**
 * A checkpoint policy of your own: a checkpoint as soon as the primary has written so much, or so
 * long after the first write that no checkpoint covers yet. An idle VM is left alone. The two VMs
 * are played by NBD clients here.
 *
 *     npx tsc -b examples && node examples/dist/checkpoint-policy.js
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource } from '@gannet/checkpointer';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';

/** Says when; how a checkpoint is made is for others. Look often: it costs nothing. */
class DirtyOrOld {
  #firstWriteMs: number | undefined;

  constructor(
    private readonly bytesMax: number,
    private readonly ageMsMax: number,
  ) {}

  reasonToCheckpoint(openBytes: number, nowMs: number): string | undefined {
    if (openBytes === 0) {
      this.#firstWriteMs = undefined;
      return undefined;
    }
    this.#firstWriteMs ??= nowMs;
    const isMuch = openBytes >= this.bytesMax;
    if (!isMuch && nowMs - this.#firstWriteMs < this.ageMsMax) return undefined;
    this.#firstWriteMs = undefined; // the checkpoint covers all that was written
    return isMuch ? 'much was written' : 'a write is old';
  }
}

const folder = await mkdtemp(path.join(tmpdir(), 'gannet-example-'));
const base = path.join(folder, 'disk.raw');
const disks = [{ name: 'disk', base, sizeBytes: 64 * 1024 * 1024 }];
const replica = await Replica.open({ vm: 'example', disks });
const source = new ExternalSource();
new Checkpointer({ source, replica, now: () => performance.now() }).start();
const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
const address = await server.listen({ path: path.join(folder, 'nbd.sock') });

const pvm = await NbdClient.connect(address, { export: 'pvm' });
await pvm.write(0, Buffer.from('seeded'));
checkpoint('the disks are equal');

const policy = new DirtyOrOld(8 * 1024 * 1024, 1000);
const watch = setInterval(() => {
  const reason = policy.reasonToCheckpoint(replica.bufferBytes.primary, performance.now());
  if (reason !== undefined) checkpoint(reason);
}, 10);

await sleep(500); // idle: nothing to do
await pvm.write(4096, Buffer.from('a little'));
while (replica.epoch < 2) await sleep(1);
const MIB = 1024 * 1024;
// As much as the policy allows: what would be left over could be much again.
const many = Array.from({ length: 8 }, (_, at) => pvm.write(at * MIB, Buffer.alloc(MIB, 1)));
while (replica.epoch < 3) await sleep(10);
await Promise.all(many);

clearInterval(watch);
await pvm.disconnect();
await server.close();
await replica.close();
await rm(folder, { recursive: true });

/** A pair of VMs would be stopped, made equal and resumed in between; see drive-pair.ts. */
function checkpoint(reason: string): void {
  source.seal();
  source.commit();
  console.log(`epoch ${replica.epoch}: ${reason}`);
}
