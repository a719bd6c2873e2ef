import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { asPrimary, asSecondary, basesOf, type Config, parseConfig } from '@gannet/contract';
import { NbdServer } from '@gannet/nbd';
import { inspectVm, PrimaryDriver } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';
import { judgePair } from '../../src/inspect/check.js';
import { linksOf } from '../../src/inspect/disk-links.js';
import { inspectDirectly, type SideReport } from '../../src/inspect/side-report.js';

// Each size of a primary's disk, with each size of a base: QEMU and the replica either make two
// equal disks of them, or refuse, and `check` says which, before anybody has tried.

const run = promisify(execFile);
const UNIT = 128 * 1024;
/** Of a page, of a sector, of neither: QEMU rounds a raw image up to whole sectors. */
const PRIMARIES = [UNIT, UNIT + 4096 + 512, UNIT + 100];
const TIMEOUT_MS = 300_000;
const OFFSETS = [0, 1, -1, 512, -512, 4096];
const CODES = ['disk-size-differs', 'base-size'];

type Row = {
  readonly format: 'raw' | 'qcow2';
  /** Size of the image that is there; undefined if the daemon is to create it. */
  readonly there: number | undefined;
  /** `disks[].size` */
  readonly wanted: number | undefined;
};

function rowsOf(primary: number): Row[] {
  const whole = Math.ceil(primary / 512) * 512;
  const sizes = [...new Set([primary, ...OFFSETS.map((offset) => whole + offset)])];
  return sizes.flatMap((size): Row[] => [
    { format: 'raw', there: size, wanted: undefined },
    { format: 'raw', there: size, wanted: whole },
    { format: 'raw', there: whole, wanted: size },
    { format: 'raw', there: undefined, wanted: size },
    // qemu-img rounds these up.
    { format: 'qcow2', there: size, wanted: undefined },
    { format: 'qcow2', there: undefined, wanted: size },
  ]);
}

let dir: string;
let child: ChildProcess | undefined;
let qmp: QmpClient | undefined;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-sizes-'));
});
afterAll(() => rm(dir, { recursive: true }));
beforeEach(() => {
  child = undefined;
});
afterEach(async () => {
  await qmp?.close();
  if (!child) return;
  child.kill('SIGKILL');
  await once(child, 'close');
});

const at = (name: string): string => path.join(dir, name);

/** A machine that is not started, with a disk of this size that ends with data. */
async function primaryOf(bytes: number): Promise<QmpClient> {
  const end = Buffer.alloc(1000, 'x');
  await writeFile(at('disk.raw'), Buffer.concat([Buffer.alloc(bytes - end.length), end]));
  child = spawn('setpriv', [
    ...['--pdeathsig', 'KILL', 'qemu-system-x86_64', '-machine', 'pc,accel=tcg', '-m', '32'],
    ...['-nodefaults', '-display', 'none', '-S', '-qmp', `unix:${at('qmp')},server=on,wait=off`],
    ...['-blockdev', `driver=raw,node-name=d0,file.driver=file,file.filename=${at('disk.raw')}`],
    ...['-device', 'virtio-blk-pci,id=vb0,drive=d0,share-rw=on'],
  ]);
  const target = { kind: 'unix', path: at('qmp') } as const;
  qmp = await connectWithRetry({ target, deadlineMs: 30_000 });
  return qmp;
}

/** @throws as the commands do, if the configuration is refused */
function configOf({ format, wanted }: Row): Config {
  const text = JSON.stringify({
    ...{ vm: 'web', qmp: `unix:${at('none')}`, control: at('control') },
    disks: [{ name: 'd0', device: 'vb0', base: at('base'), format, size: wanted }],
    primary: {
      ...{ nbd: `unix:${at('nbd')}`, migrate: `unix:${at('migrate')}` },
      ...{ peer: `unix:${at('peer')}`, link: 'mirror' },
    },
    secondary: { nbd: `unix:${at('nbd')}`, peer: `unix:${at('peer')}`, overwrite: true },
  });
  return parseConfig(text, 'web.yaml', { configDir: dir, runDir: dir, stateDir: dir });
}

async function baseOf({ format, there }: Row): Promise<void> {
  await rm(at('base'), { force: true });
  await rm(at('base.gannet'), { force: true });
  if (there === undefined) return;
  if (format === 'raw') await writeFile(at('base'), Buffer.alloc(there));
  else await run('qemu-img', ['create', '-q', '-f', format, at('base'), String(there)]);
}

/** What `check` finds about sizes. */
async function found(config: Config, report: SideReport['report']): Promise<string[]> {
  const inspect = (role: 'primary' | 'secondary'): Promise<SideReport> => {
    const { primary, secondary, ...rest } = config;
    return inspectDirectly({ ...rest, ...(role === 'primary' ? { primary } : { secondary }) }, '');
  };
  const [primary, secondary] = [await inspect('primary'), await inspect('secondary')];
  const findings = judgePair(config, { ...primary, report } as SideReport, secondary);
  return findings
    .filter(({ code, severity }) => severity === 'error' && CODES.includes(code))
    .map(({ code, message }) => `${code}: ${message}`);
}

/** What comes of it: two equal disks, or why not. */
async function outcome(config: Config, primary: QmpClient): Promise<string> {
  const { secondary } = asSecondary(config);
  const replica = await Replica.open({
    ...{ vm: config.vm, disks: basesOf(asSecondary(config)), overwrite: true },
    journalPath: secondary.journal,
  }).catch((error: unknown) => String(error));
  if (typeof replica === 'string') return replica;
  const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
  await server.listen({ path: at('nbd') });
  const driver = new PrimaryDriver(primary, { pollMs: 10 });
  try {
    await driver.seed(linksOf(asPrimary(config)));
    // The last sector of the disk, and the first.
    for (const command of ['write -P 7 -512 0', 'write -P 9 0 512']) {
      const end = (await primary.execute('query-block', {}))[0]?.inserted?.image['virtual-size'];
      const what = command.replace('-512 0', `${Number(end) - 512} 512`);
      const line = {
        'command-line': `qemu-io -d /machine/peripheral/vb0/virtio-backend "${what}"`,
      };
      const words = await primary.executeRaw('human-monitor-command', line);
      if (typeof words === 'string' && /fail|error/i.test(words)) return words;
    }
    await driver.rollback();
  } catch (error) {
    await driver.rollback().catch(() => undefined);
    return String(error);
  } finally {
    await server.close();
    await replica.close();
  }
  const images = [
    ...[`driver=raw,file.driver=file,file.locking=off,file.filename=${at('disk.raw')}`],
    ...[`driver=${config.disks[0]?.format ?? 'raw'},file.driver=file,file.filename=${at('base')}`],
  ];
  const [one, other] = await Promise.all(
    images.map(async (options, index) => {
      await run('qemu-img', [
        ...['convert', '-q', '--image-opts', '-O', 'raw', options, at(`copy${index}`)],
      ]);
      return readFile(at(`copy${index}`));
    }),
  );
  return one && other && one.equals(other) ? 'equal' : 'not equal';
}

const judge = async (bytes: number): Promise<void> => {
  const primary = await primaryOf(bytes);
  const report = await inspectVm(primary, { timeoutMs: 10_000 });
  const wrong: unknown[] = [];
  let equal = 0;
  for (const row of rowsOf(bytes)) {
    await baseOf(row);
    let config: Config;
    try {
      config = configOf(row);
    } catch (error) {
      // Every command says so.
      expect(String(error)).toMatch(/size/);
      continue;
    }
    const findings = await found(config, report);
    const result = await outcome(config, primary);
    if (result === 'equal') equal++;
    if ((result === 'equal') !== (findings.length === 0) || result === 'not equal') {
      wrong.push({ ...row, findings, result });
    }
  }
  expect(wrong).toEqual([]);
  expect(equal).toBeGreaterThanOrEqual(5);
};

it.each(PRIMARIES)('a disk of %i bytes', judge, TIMEOUT_MS);
