import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findGuest, LabVm, primaryCommand } from 'gannet/lab';
import { PrimaryDriver } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const DISK_BYTES = 64 * 1024 * 1024;
/** Cancelled without care, QEMU 7.2 died once in about 17. */
const COPIES = 60;

let dir: string;
let vm: LabVm;
let replica: ChildProcess;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-copies-'));
  for (const name of ['primary.raw', 'replica.raw']) {
    await writeFile(path.join(dir, name), '');
    await truncate(path.join(dir, name), DISK_BYTES);
  }
  const server = ['--persistent', '--shared=8', '--format=raw', '--export-name=pvm'];
  replica = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'qemu-nbd',
      ...server,
      `--socket=${dir}/nbd.sock`,
      `${dir}/replica.raw`,
    ],
    { stdio: 'ignore' },
  );
  const command = primaryCommand({ guest: await findGuest() }, [{ path: `${dir}/primary.raw` }]);
  vm = await LabVm.start({ name: 'pvm', dir, ...command });
  await vm.oracle.waitForWrites(100, { signal: vm.gone });
}, 60_000);

afterAll(async () => {
  await vm.dispose();
  replica.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

test('copies are cancelled at any moment under the load of a guest, which is none the worse for it', async () => {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[1] } });
  const server = { type: 'unix', path: `${dir}/nbd.sock` } as const;
  const disk = { device: 'vb0', link: 'nbd', server, export: 'pvm', id: 'g0' } as const;
  for (let copy = 0; copy < COPIES; copy++) {
    const driver = new PrimaryDriver(qmp);
    const abort = new AbortController();
    const speedBytesPerSec = copy % 2 === 0 ? DISK_BYTES / 2 : 0;
    const seeding = driver.seed([disk], { signal: abort.signal, speedBytesPerSec });
    await Promise.race([seeding, sleep((copy * 137) % 400)]).catch(() => undefined);
    abort.abort();
    await seeding.catch(() => undefined);
    await driver.rollback();
  }
  const { writes } = [...vm.oracle.regions.values()][0] ?? { writes: 0 };
  await vm.oracle.waitForWrites(writes + 100, { signal: vm.gone });
  expect(vm.oracle.clean).toBe(true);
  expect(await qmp.execute('query-status')).toMatchObject({ status: 'running' });
  await qmp.close();
}, 120_000);
