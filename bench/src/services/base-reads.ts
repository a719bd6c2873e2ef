/**
 * How long a read of the base takes while write-back runs on a slow disk, although the page cache
 * has what is read: `node bench/dist/services/base-reads.js [DISKS]`.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WriteBack } from '@gannet/checkpointer';
import { Replica } from '@gannet/replicator';
import { Scope } from '../harness/scope.js';
import { slowHost } from '../harness/slow-host.js';
import { summarize } from '../harness/stats.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 16 * MIB;
const PAGE_BYTES = 4096;
/** No two of the pages that are written back adjoin. */
const STRIDE_BYTES = 8 * PAGE_BYTES;
const PAGES = 400;

/** In a process on the slow host. */
async function measure(count: number, folder: string): Promise<string> {
  const disks = Array.from({ length: count }, (_, at) => ({
    ...{ name: `disk${at}`, base: path.join(folder, `base${at}.raw`), sizeBytes: SIZE_BYTES },
  }));
  for (const { base } of disks) await writeFile(base, Buffer.alloc(SIZE_BYTES, 1), { flush: true });
  const replica = await Replica.open({ vm: 'bench', disks, overwrite: true });
  const commit = (): void => {
    replica.gate.close();
    replica.commit();
    replica.gate.open();
  };
  commit();
  const data = Buffer.alloc(PAGE_BYTES, 2);
  for (const { primary } of replica.disks) {
    for (let page = 0; page < PAGES / count; page++) primary.write(page * STRIDE_BYTES, data);
  }
  commit();
  const clock = { now: () => performance.now(), sleep: (ms: number) => sleep(ms) };
  const writeBack = new WriteBack({ target: replica, clock });
  const begunMs = performance.now();
  const end = { ms: NaN };
  writeBack.kick();
  const ended = writeBack.idle().then(() => (end.ms = performance.now()));
  const samples: number[] = [];
  const [disk] = replica.disks;
  while (disk && Number.isNaN(end.ms)) {
    const offset = Math.floor((Math.random() * SIZE_BYTES) / STRIDE_BYTES) * STRIDE_BYTES;
    const atMs = performance.now();
    await disk.read(disk.secondary, offset + PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
    samples.push(performance.now() - atMs);
    await sleep(2);
  }
  await ended;
  await replica.close();
  const { median, max } = summarize(samples);
  return (
    `${count} disks: written back in ${(end.ms - begunMs).toFixed(0)} ms; ${samples.length} ` +
    `reads, median ${median.toFixed(2)} ms, longest ${max.toFixed(1)} ms`
  );
}

async function onSlowHost(count: string): Promise<string> {
  const scope = new Scope();
  try {
    const host = await slowHost(scope, { iops: 200, bytesPerSec: 60 * MIB });
    const child = [process.execPath, import.meta.filename, count, await scope.folder()];
    return (await scope.run([...host.enter(), ...child])).trim();
  } finally {
    await scope.close();
  }
}

const [count = '1', folder] = process.argv.slice(2);
console.log(await (folder === undefined ? onSlowHost(count) : measure(Number(count), folder)));
