/** B7: processor time that a replicated write takes on the secondary host. */
import path from 'node:path';
import { GannetServer } from './b3-server.js';
import { takeTurns, type Comparison, type Contender, type Trial } from './harness/comparison.js';
import { fill, fio, type Load } from './harness/fio.js';
import { processorUs } from './harness/processor.js';
import { BlockLayer } from './harness/qemu.js';
import type { Scope } from './harness/scope.js';

const KIB = 1024;
const SIZE_BYTES = 256 * KIB * KIB;
const COMMIT_MS = 2000;
const SECONDS = 1.2;

interface Subject {
  readonly pid: number;
  /** Before each run. */
  rest(): Promise<void>;
  run(load: Load, seconds: number): Promise<{ requests: number }>;
}

export const B7: Comparison = {
  name: 'B7',
  title: 'Processor time',
  about:
    'fio writes random 4 KiB pages to the NBD server of the secondary host, without a second ' +
    'QEMU in between; all storage is in memory. Microseconds of processor time per write, of ' +
    "all threads of the server. Gannet's include a commit every two seconds and write-back.",
  estimateSeconds: 55,
  async run(context) {
    const contenders = await contendersIn(context.scope);
    const trials = [1, 16].map((depth): Trial<Subject> => {
      const load: Load = { rw: 'randwrite', blockBytes: 4 * KIB, depth };
      return {
        ...{ point: `4 KiB random write, qd${depth}`, unit: 'µs', better: 'lower' },
        measure: async (subject, round) => {
          const seconds = context.quick ? 0.3 : round < 1 ? SECONDS / 2 : SECONDS;
          await subject.rest();
          const before = await processorUs(subject.pid);
          const { requests } = await subject.run(load, seconds);
          return ((await processorUs(subject.pid)) - before) / requests;
        },
      };
    });
    const points = await takeTurns(context, contenders, trials);
    return { contenders, baseline: COLO, points, notes: [] };
  },
};

const COLO = 'COLO';

async function contendersIn(scope: Scope): Promise<Contender<Subject>[]> {
  const gannet = await GannetServer.start(scope, 'pvm', ['unix'], COMMIT_MS);
  return [
    {
      name: 'Gannet',
      setup: 'as in B3, with a commit every two seconds',
      subject: {
        pid: gannet.pidOf('unix'),
        rest: () => Promise.resolve(),
        // Nothing may go uncounted: no ramp.
        run: (load, seconds) => gannet.load('unix', load, seconds, 0),
      },
    },
    {
      name: COLO,
      setup:
        "QEMU's NBD server over the secondary's replication driver; active disk, hidden disk " +
        'and the disk itself are in memory, and emptied before each run',
      subject: await coloSubject(scope),
    },
    {
      name: 'QEMU without filters',
      setup: "QEMU's NBD server over a raw file in memory: no replication, for comparison",
      subject: await plainSubject(scope),
    },
  ];
}

async function coloSubject(scope: Scope): Promise<Subject> {
  const folder = await scope.folder('memory');
  const file = (name: string): string => path.join(folder, name);
  await scope.run(['truncate', '--size', `${SIZE_BYTES}`, file('disk.raw')]);
  for (const name of ['active.qcow2', 'hidden.qcow2']) {
    await scope.run(['qemu-img', 'create', '-q', '-f', 'qcow2', file(name), `${SIZE_BYTES}`]);
  }
  const layer = await BlockLayer.start(scope, folder, [
    '-drive',
    `if=none,id=parent0,driver=raw,file.driver=file,file.filename=${file('disk.raw')}`,
    '-drive',
    'if=none,id=childs0,driver=replication,mode=secondary,top-id=colo-disk0,file.driver=qcow2,' +
      `file.file.filename=${file('active.qcow2')},file.backing.driver=qcow2,` +
      `file.backing.file.filename=${file('hidden.qcow2')},file.backing.backing=parent0`,
    '-drive',
    'if=none,id=colo-disk0,driver=quorum,read-pattern=fifo,vote-threshold=1,children.0=childs0',
  ]);
  await layer.do('nbd-server-add', { device: 'parent0', writable: true });
  const uri = layer.uri('parent0');
  await fill(scope, uri, SIZE_BYTES);
  await layer.do('xen-set-replication', { enable: true, primary: false });
  return {
    pid: layer.running.pid,
    rest: async () => {
      await layer.do('xen-colo-do-checkpoint');
    },
    run: (load, seconds) => fio(scope, { uri, load, seconds, sizeBytes: SIZE_BYTES }),
  };
}

async function plainSubject(scope: Scope): Promise<Subject> {
  const folder = await scope.folder('memory');
  const file = path.join(folder, 'disk.raw');
  await scope.run(['truncate', '--size', `${SIZE_BYTES}`, file]);
  const layer = await BlockLayer.start(scope, folder, [
    '-blockdev',
    `driver=raw,node-name=disk0,file.driver=file,file.filename=${file}`,
  ]);
  const uri = await layer.export('disk0');
  await fill(scope, uri, SIZE_BYTES);
  return {
    pid: layer.running.pid,
    rest: () => Promise.resolve(),
    run: (load, seconds) => fio(scope, { uri, load, seconds, sizeBytes: SIZE_BYTES }),
  };
}
