/** A pair on the newest QEMU, beside the system's: what is different there. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, findNewestQemu, GANNET_BIN, LabPair, type LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

const run = promisify(execFile);
const CHECKPOINTS = 5;
/** As somebody may have set it for other migrations. */
const MULTIFD = ['-global', 'migration.x-multifd=on'];

let pair: LabPair | undefined;
const clients: QmpClient[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await pair?.dispose();
  pair = undefined;
});

async function start(extraArgs: readonly string[]): Promise<LabPair> {
  const guest = await findGuest();
  const machine = { type: 'q35', extraArgs } as const;
  const created = await LabPair.create({ guest, machine, qemu: await findNewestQemu() });
  pair = created;
  await created.bootPrimary();
  await created.startSecondary();
  await created.startPrimaryDaemon();
  return created;
}

/** On the socket that Gannet does not use. */
async function connect(vm: LabVm): Promise<QmpClient> {
  const client = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  clients.push(client);
  return client;
}

async function capabilitiesOf(qmp: QmpClient): Promise<string[]> {
  const all = await qmp.execute('query-migrate-capabilities');
  return all.flatMap(({ capability, state }) => (state ? [capability] : []));
}

/** What `gannet check` finds, without notes. */
async function findingsOf(checked: LabPair): Promise<string[]> {
  const file = path.join(checked.dir, 'check.json');
  await writeFile(file, JSON.stringify(checked.configOf('primary')));
  const args = [GANNET_BIN, 'check', '--json', '--config', file];
  const { stdout } = await run(process.execPath, args);
  const { findings } = JSON.parse(stdout) as { findings: { severity: string; code: string }[] };
  return findings.flatMap(({ severity, code }) => (severity === 'info' ? [] : [code]));
}

describe('a pair on QEMU 11.1', () => {
  it('with q35 and multifd: no warning, checkpoints, a failover, nothing left', async () => {
    const started = await start(MULTIFD);
    const { primary, secondary } = started;
    const before = await capabilitiesOf(await connect(primary));
    expect(before).toContain('multifd');
    expect(await findingsOf(started)).toEqual([]);
    await started.protect();
    await started.waitForCommits(CHECKPOINTS);
    await primary.kill('SIGKILL');
    await started.failOver();
    const { digests, isClean } = await started.compare();
    expect(secondary.oracle.mismatches).toEqual([]);
    expect(isClean).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
    expect(await capabilitiesOf(await connect(secondary))).toEqual(before);
  });

  it('a secondary without x-colo gets an ordinary migration: never two guests', async () => {
    const started = await start([]);
    const { primary, secondary } = started;
    const [pvm, svm] = [await connect(primary), await connect(secondary)];
    const off = [{ capability: 'x-colo', state: false }] as const;
    await svm.execute('migrate-set-capabilities', { capabilities: off });
    await expect(started.protect()).rejects.toMatchObject({
      message: expect.stringContaining('the guest began to run here without COLO'),
    });
    expect((await svm.execute('query-status')).running).toBe(false);
    expect((await pvm.execute('query-status')).status).toBe('running');
    expect(await capabilitiesOf(pvm)).toEqual([]);
  });
});
