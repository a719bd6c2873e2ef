/**
 * A guest that runs on after a failover while the base takes no writes, because its file system is
 * full: `node bench/dist/full-base.js [FLUSHES]`. After each power of ten: what one request costs
 * by then, and the memory. The guest writes or zeroes one page somewhere and flushes, each time.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ExportSession } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';

const PAGE_BYTES = 4096;
const DISK_BYTES = 64 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
const READS = 200;
/** A time is the mean of so many requests. */
const CHUNK = 1000;
/** After so many requests. */
const REPORTED = [1000, 10_000, 100_000, 1_000_000];
/** A flush that takes longer waits for write-back: the journal has reached its limit. */
const PATIENCE_MS = 2000;

type Act = (svm: ExportSession, offset: number) => Promise<void>;

const ACTS: Readonly<Record<string, Act>> = {
  'zero 4 KiB': async (svm, offset) => {
    await svm.writeZeroes(offset, PAGE_BYTES, { fua: false, mayPunchHole: true, fast: false });
  },
  'write 4 KiB': async (svm, offset) => {
    await svm.write(offset, Buffer.alloc(PAGE_BYTES, offset % 251), false);
  },
};

async function open(dir: string): Promise<[Replica, ExportSession]> {
  const disks = [{ name: 'disk', base: path.join(dir, 'base'), sizeBytes: DISK_BYTES }];
  const replica = await Replica.open({ vm: 'vm', disks, journalPath: path.join(dir, 'journal') });
  const session = (wanted: string): ExportSession => {
    const found = replica.exports.find(({ name }) => name === wanted);
    return found?.open({ id: 1, address: 'bench' }) as ExportSession;
  };
  const svm = session('svm');
  await session('pvm').write(0, Buffer.alloc(PAGE_BYTES), false);
  for (const step of [() => replica.commit(), () => replica.failOver()]) {
    replica.gate.close();
    step();
    replica.gate.open();
  }
  await replica.failoverDurable();
  // Write-back has taken what there is, and never ends.
  replica.nextBatch();
  return [replica, svm];
}

function page(index: number): number {
  return ((index * 7919) % (DISK_BYTES / PAGE_BYTES)) * PAGE_BYTES;
}

/** Whether a flush was answered. */
async function isFlushed(svm: ExportSession): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PATIENCE_MS);
  });
  const flushed = Promise.resolve(svm.flush()).then(() => true);
  // It is refused when the replica is closed.
  flushed.catch(() => undefined);
  try {
    return await Promise.race([flushed, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readUs(svm: ExportSession): Promise<number> {
  const target = Buffer.alloc(READ_BYTES);
  const beginMs = performance.now();
  for (let read = 0; read < READS; read++) await svm.read(page(read) % (DISK_BYTES / 2), target);
  return (1000 * (performance.now() - beginMs)) / READS;
}

async function measure(name: string, act: Act, flushes: number): Promise<void> {
  const dir = await mkdtemp('/dev/shm/gannet-full-base-');
  const [replica, svm] = await open(dir);
  try {
    let chunkBeginMs = performance.now();
    for (let done = 1; done <= flushes; done++) {
      await act(svm, page(done));
      const isWaiting = !(await isFlushed(svm));
      if (done % CHUNK === 0 && !REPORTED.includes(done)) chunkBeginMs = performance.now();
      if (!isWaiting && !REPORTED.includes(done)) continue;
      const flushUs = (1000 * (performance.now() - chunkBeginMs)) / CHUNK;
      const cells = [name, done, isWaiting ? 'waits' : flushUs.toFixed(0)];
      const rssMib = process.memoryUsage().rss / 2 ** 20;
      cells.push((await readUs(svm)).toFixed(0), rssMib.toFixed(0));
      process.stdout.write(`| ${cells.join(' | ')} |\n`);
      if (isWaiting) return;
      chunkBeginMs = performance.now();
    }
  } finally {
    await Promise.allSettled([replica.close()]);
    await rm(dir, { recursive: true, force: true });
  }
}

const flushes = Number(process.argv[2] ?? 1_000_000);
process.stdout.write(
  '| request | requests so far | one takes us | read of 64 KiB us | rss MiB |\n',
);
process.stdout.write('| --- | ---: | ---: | ---: | ---: |\n');
for (const [name, act] of Object.entries(ACTS)) await measure(name, act, flushes);
