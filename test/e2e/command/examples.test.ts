/** The examples that need QEMU, run as a reader would. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  compareDigests,
  defaultRegions,
  findGuest,
  guestDiskName,
  LabVm,
  primaryCommand,
  secondaryCommand,
} from '@gannet/lab';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../../..');
const example = (name: string): string => path.join(ROOT, 'examples/dist', `${name}.js`);

let dir: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-examples-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

test('qmp-session talks to a QEMU', async () => {
  const vm = await LabVm.start({ name: 'vm', dir, args: ['-S', '-machine', 'pc'] });
  undo.push(() => vm.dispose());
  // Once more, with the VM as the first one left it.
  for (const status of ['prelaunch', 'running']) {
    const { stdout } = await run(process.execPath, [example('qmp-session'), vm.qmpPaths[1]]);
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toBe(`the guest is ${status}`);
    expect(lines[1]).toMatch(/^resumed, seconds since 1970: \d+$/);
    expect(lines[2]).toMatch(/^objects: .*\bslow\b/);
    expect(lines[3]).toBe(
      "refused, class DeviceNotFound: device_del: Device 'nobody' not found (DeviceNotFound)",
    );
  }
});

test('drive-pair protects a VM; the guest survives its primary with the right disk', async () => {
  const guest = await findGuest();
  const regions = defaultRegions([guestDiskName(0)]);
  const machine = { guest, regions };
  const at = (name: string): string => path.join(dir, name);
  await writeFile(at('primary.raw'), '');
  await truncate(at('primary.raw'), 64 * 1024 * 1024);
  const start = async (name: string, command: ReturnType<typeof primaryCommand>) => {
    const vm = await LabVm.start({ name, dir, ...command });
    undo.push(() => vm.dispose());
    return vm;
  };
  const pvm = await start('pvm', primaryCommand(machine, [{ path: at('primary.raw') }]));
  await pvm.oracle.waitForStart(regions.length, { signal: pvm.gone });

  const svmQmp = path.join(dir, 'svm', 'qmp1.sock');
  const files = [svmQmp, at('replica.nbd'), at('incoming'), at('base.raw')];
  const program = [process.execPath, example('drive-pair'), pvm.qmpPaths[1], ...files];
  const pair = spawn('setpriv', ['--pdeathsig', 'KILL', ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  undo.push(() => pair.kill('SIGKILL'));
  const ended = once(pair, 'close');
  const said: string[] = [];
  const lines = createInterface(pair.stdout);
  const says = async (word: string, times = 1): Promise<void> => {
    while (said.filter((line) => line === word).length < times) {
      const [line] = (await Promise.race([once(lines, 'line'), ended])) as [unknown];
      if (typeof line !== 'string') throw new Error(`it ended, and had said: ${said.join(', ')}`);
    }
  };
  lines.on('line', (line) => said.push(line));
  await says('serving');
  const exported = { socketPath: at('replica.nbd'), exportName: 'svm' };
  const svm = await start('svm', secondaryCommand(machine, [exported], `unix:${at('incoming')}`));
  await says('protected');
  await says('commit', 4);
  await pvm.kill('SIGKILL');
  await says('moved');
  expect((await ended)[0]).toBe(0);

  const writes = svm.oracle.writes;
  await svm.oracle.waitForWrites(writes + 500, { signal: svm.gone });
  await svm.command('stop');
  const digests = await svm.oracle.waitForDigests(regions.length, { signal: svm.gone });
  const compared = await compareDigests(digests, { [guestDiskName(0)]: at('base.raw') });
  expect(compared).toHaveLength(regions.length);
  expect(compared.filter(({ equal }) => !equal)).toEqual([]);
  expect([...pvm.oracle.mismatches, ...svm.oracle.mismatches]).toEqual([]);
});
