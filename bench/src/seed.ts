/**
 * How fast a disk is seeded: `node bench/dist/seed.js [ROUNDS]`. Copies 1 GiB of random data, in
 * turns
 *
 *   file    by `qemu-img convert` to a file
 *   export  by `qemu-img convert` to the export of a `gannet secondary`
 *   seed    by QEMU's mirror to the same export, as `gannet protect` does
 *
 * each to a new file on the same file system, until the program has ended or the mirror is READY.
 * None of them flushes. The copies are compared with the source. Then it checks that the mirror
 * keeps its speed limit.
 */
import { open, rm } from 'node:fs/promises';
import { randomFillSync } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import { LabDaemon } from '@gannet/lab';
import { uriOf } from './harness/ports.js';
import { BlockLayer } from './harness/qemu.js';
import { BenchError, Scope } from './harness/scope.js';
import { summarize } from './harness/stats.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 1024 * MIB;
const LIMITS = [32 * MIB, 128 * MIB];
const LIMIT_SPAN_MS = 5000;

const scope = new Scope();
const dir = await scope.folder();
const image = path.join(dir, 'disk.raw');

/**
 * A replicator with a new base, in a process of its own; gone with everything it made after `work`.
 */
async function withReplica<T>(work: (socket: string, base: string) => Promise<T>): Promise<T> {
  const folder = await scope.folder();
  const at = (name: string): string => path.join(folder, name);
  const base = at('base.raw');
  const config = {
    ...{ vm: 'bench', control: at('control.sock'), qmp: `unix:${at('nobody.qmp')}` },
    disks: [{ name: 'disk0', device: 'drive0', base, size: DISK_BYTES }],
    secondary: { nbd: `unix:${at('replica.nbd')}`, peer: `unix:${at('peer.sock')}` },
  };
  const daemon = await LabDaemon.start({ role: 'secondary', dir: folder, config });
  try {
    return await work(at('replica.nbd'), base);
  } finally {
    await daemon.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

function linkTo(socket: string): DiskLink {
  return {
    ...{ id: 'g0', device: 'drive0', link: 'mirror', export: 'pvm' },
    server: { type: 'unix', path: socket },
    seedExports: { begin: 'pvm-seed', resume: 'pvm-resume', link: 'pvm-link' },
  };
}

/** @returns MiB a second */
async function rateOf(copy: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await copy();
  return DISK_BYTES / MIB / ((performance.now() - startMs) / 1000);
}

const convert = (...to: string[]): Promise<string> =>
  scope.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', image, ...to]);

async function expectSame(copy: string): Promise<void> {
  await scope.run(['cmp', image, copy]);
}

const CONTENDERS: Readonly<Record<string, (driver: PrimaryDriver) => Promise<number>>> = {
  file: async () => {
    const copy = path.join(dir, 'copy.raw');
    const rate = await rateOf(() => convert(copy));
    await expectSame(copy);
    await rm(copy);
    return rate;
  },
  export: () =>
    withReplica(async (socket, base) => {
      const uri = uriOf({ transport: 'unix', path: socket }, 'pvm-seed');
      const rate = await rateOf(() => convert('-n', uri));
      await expectSame(base);
      return rate;
    }),
  seed: (driver) =>
    withReplica(async (socket, base) => {
      const rate = await rateOf(() => driver.seed([linkTo(socket)]));
      await expectSame(base);
      await driver.rollback();
      return rate;
    }),
};

/** @returns measured over asked, from one second after the start on */
function keepsLimit(driver: PrimaryDriver, speedBytesPerSec: number): Promise<number> {
  return withReplica(async (socket) => {
    let doneBytes = 0;
    const onProgress = (seen: { doneBytes: number }): void => void (doneBytes = seen.doneBytes);
    const seeding = driver.seed([linkTo(socket)], { speedBytesPerSec, onProgress });
    seeding.catch(() => undefined);
    await sleep(1000);
    const [startMs, startBytes] = [performance.now(), doneBytes];
    await sleep(LIMIT_SPAN_MS);
    const seconds = (performance.now() - startMs) / 1000;
    const ratio = (doneBytes - startBytes) / seconds / speedBytesPerSec;
    if (doneBytes >= DISK_BYTES) throw new BenchError('the copy ended before it was measured');
    await driver.setSeedSpeed(0);
    await seeding;
    await driver.rollback();
    return ratio;
  });
}

async function makeImage(): Promise<void> {
  const file = await open(image, 'wx');
  const chunk = Buffer.alloc(MIB);
  for (let at = 0; at < DISK_BYTES; at += MIB) await file.write(randomFillSync(chunk), 0, MIB, at);
  await file.close();
}

async function main(rounds: number): Promise<void> {
  await makeImage();
  const drive = `if=none,id=drive0,format=raw,node-name=node0,file=${image}`;
  const { qmp } = await BlockLayer.start(scope, dir, ['-drive', drive]);
  const driver = new PrimaryDriver(qmp, { pollMs: 20 });
  const rates = new Map<string, number[]>(Object.keys(CONTENDERS).map((name) => [name, []]));
  // Round 0 warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(CONTENDERS)) {
      // What the one before left to be written is not for the next to wait for.
      await scope.run(['sync']);
      const rate = await measure(driver);
      process.stderr.write(
        `${round === 0 ? 'warm-up' : `round ${round}`}: ${name} ${rate.toFixed(0)} MiB/s\n`,
      );
      if (round > 0) rates.get(name)?.push(rate);
    }
  }
  process.stdout.write(
    '| contender | least MiB/s | median MiB/s | most MiB/s |\n| --- | --- | --- | --- |\n',
  );
  for (const [name, samples] of rates) {
    const { min, median, max } = summarize(samples);
    process.stdout.write(
      `| ${[name, ...[min, median, max].map((each) => each.toFixed(0))].join(' | ')} |\n`,
    );
  }
  for (const to of ['file', 'export']) {
    const ratios = (rates.get('seed') ?? []).map(
      (rate, round) => rate / (rates.get(to)?.[round] ?? NaN),
    );
    const { min, median, max } = summarize(ratios);
    const [least, middle, most] = [min, median, max].map((each) => each.toFixed(2));
    process.stdout.write(`seed over ${to}, round by round: ${middle} (${least} to ${most})\n`);
  }
  for (const limit of LIMITS) {
    const ratio = await keepsLimit(driver, limit);
    process.stdout.write(
      `limit of ${limit / MIB} MiB/s: measured over asked ${ratio.toFixed(3)}\n`,
    );
  }
}

try {
  await main(Number(process.argv[2] ?? 5));
} finally {
  await scope.close();
}
