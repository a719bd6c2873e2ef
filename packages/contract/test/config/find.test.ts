import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { findConfig } from '../../src/config/find.js';
import type { Places } from '../../src/config/paths.js';

let dir: string;
let places: Places;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-find-'));
  places = { configDir: dir, stateDir: path.join(dir, 'state'), runDir: path.join(dir, 'run') };
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function configure(...vms: string[]): Promise<void> {
  for (const vm of vms) {
    const disks = `disks: [{ name: root, device: vb0, base: ${dir}/${vm}.raw }]`;
    await writeFile(path.join(dir, `${vm}.yaml`), `vm: ${vm}\nqmp: unix:/run/qmp\n${disks}\n`);
  }
}

test('a VM is found by its name', async () => {
  await configure('web');
  expect(await findConfig({ vm: 'web' }, places)).toMatchObject({ vm: 'web' });
});

test('a VM that is not there: which there are, and which was probably meant', async () => {
  await configure('web', 'db');
  await expect(findConfig({ vm: 'wbe' }, places)).rejects.toMatchObject({
    code: 'GANNET_USAGE',
    exit: 'usage',
    message: `no VM wbe is configured on this host: there is no file ${dir}/wbe.yaml`,
    remedy:
      'Did you mean web? VMs of this host: db, web. A file elsewhere is passed with --config.',
  });
});

test('a name that is like none is only answered with those there are', async () => {
  await configure('web', 'db');
  await expect(findConfig({ vm: 'production' }, places)).rejects.toMatchObject({
    remedy: 'VMs of this host: db, web. A file elsewhere is passed with --config.',
  });
});

test('a host without a VM says so', async () => {
  await expect(findConfig({ vm: 'web' }, places)).rejects.toMatchObject({
    remedy: expect.stringMatching(/^No VM is configured on this host\./),
  });
});

test('a command without a name is told which there are', async () => {
  await configure('web', 'db');
  await expect(findConfig({}, places)).rejects.toMatchObject({
    code: 'GANNET_USAGE',
    remedy: expect.stringContaining('(db, web)'),
  });
});
