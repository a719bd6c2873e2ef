/**
 * Protects a running VM with a COLO pair, and takes over when it dies: what the daemons do, without
 * daemons. A program on two hosts would have to know that the primary is dead before it takes over;
 * this one sees its QMP socket close.
 *
 *     node examples/dist/drive-pair.js PVM.qmp SVM.qmp REPLICA.nbd INCOMING BASE.raw
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ColoSource, WriteBack } from '@gannet/checkpointer';
import { NbdServer } from '@gannet/nbd';
import { findDisk, PrimaryDriver, QmpColoMonitor, SecondaryDriver } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import { connectWithRetry } from 'qemu-qmp-client';

const [pvmPath = '', svmPath = '', nbdPath = '', incoming = '', base = ''] = process.argv.slice(2);
const connect = (path: string) =>
  connectWithRetry({ target: { kind: 'unix', path }, deadlineMs: 30_000 });

// The replica of the primary's disk. The secondary's QEMU can be started once it is served.
const pvm = await connect(pvmPath);
const { sizeBytes } = await findDisk(pvm, 'vb0');
const replica = await Replica.open({ vm: 'pair', disks: [{ name: 'disk', base, sizeBytes }] });
const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
await server.listen({ path: nbdPath });
console.log('serving');

// Its commits follow the secondary's checkpoints; what they commit goes to the base in the
// background.
const svm = await connect(svmPath);
const source = new ColoSource(new QmpColoMonitor(svm));
const now = () => performance.now();
const onEvent = ({ kind }: { kind: string }) => console.log(kind);
new Checkpointer({ source, replica, now, onEvent }).start();
const clock = { now, sleep: (ms: number) => sleep(ms) };
const writeBack = new WriteBack({ target: replica, clock });
replica.on(({ kind }) => {
  if (kind === 'backlog') writeBack.kick();
});

// Copy the disk while the guest runs, then start COLO with a checkpoint a second.
const dead = new Promise<void>((resolve) => pvm.onEnd(() => resolve()));
const secondary = new SecondaryDriver(svm);
const primary = new PrimaryDriver(pvm, { onLinkFailure: ({ message }) => console.log(message) });
const link = { device: 'vb0', link: 'nbd', id: 'vb0', export: 'pvm' } as const;
const disk = { ...link, server: { type: 'unix', path: nbdPath } } as const;
await secondary.prepare();
await primary.seed([disk]);
await primary.attach([disk]);
await primary.start({ uri: `unix:${incoming}`, periodMs: 1000, timeoutMs: 60_000 });
await primary.finishSeed();
console.log('protected');

// The primary's QEMU is gone: the guest goes on here, first from memory, then from its local file.
await dead;
await secondary.failOver({ timeoutMs: 10_000 });
await replica.failoverDurable();
const file = { driver: 'file', filename: base } as const;
await secondary.moveToLocal([{ device: 'vb0', id: 'local0', file }], () => replica.settle());
console.log('moved');
await writeBack.stop();
await server.close();
await replica.close();
await svm.close();
