import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ControlServer } from '../../src/daemon/control/control-server.js';
import { methodsOf } from '../../src/daemon/control/dispatch.js';
import { crosswiseFindings, type OtherVm, otherVms } from '../../src/inspect/other-vms.js';
import { PRIMARY } from '../support/statuses.js';

const FENCE_MS = 3000;
const db = (role: OtherVm['role'], fencesAfterMs: number | null): OtherVm => ({
  ...{ vm: 'db', role, fencesAfterMs },
});

describe('two VMs crosswise on two hosts', () => {
  const primary = { fencesAfterMs: 5000, others: [db('secondary', 5000)] };
  const codes = (ownMs: number | null, otherMs: number | null): string[] =>
    crosswiseFindings(
      { ...primary, fencesAfterMs: ownMs },
      { others: [db('primary', otherMs)] },
      FENCE_MS,
    ).map(({ code }) => code);

  test('fence each other after a cut, if their delays differ by less than a fence takes', () => {
    expect(codes(5000, 5000)).toEqual(['fence-crosswise']);
    expect(codes(5000, 8000)).toEqual(['fence-crosswise']);
    expect(codes(8000, 5000)).toEqual(['fence-crosswise']);
  });

  test('do not, if one waits longer, or has no fence', () => {
    expect(codes(5000, 8001)).toEqual([]);
    expect(codes(8001, 5000)).toEqual([]);
    expect(codes(5000, null)).toEqual([]);
    expect(codes(null, 5000)).toEqual([]);
  });

  test('are the same VM on both hosts, with its primary on the other one', () => {
    const others = { others: [db('secondary', 5000)] };
    expect(crosswiseFindings(primary, others, FENCE_MS)).toEqual([]);
    const third = { others: [{ ...db('primary', 5000), vm: 'mail' }] };
    expect(crosswiseFindings(primary, third, FENCE_MS)).toEqual([]);
    expect(crosswiseFindings(primary, {}, FENCE_MS)).toEqual([]);
  });
});

describe('the other VMs of this host', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-others-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const write = (vm: string, more: object): Promise<void> =>
    writeFile(
      path.join(dir, `${vm}.yaml`),
      JSON.stringify({
        ...{ vm, qmp: 'unix:/run/q', disks: [{ name: 'd', device: 'vb0' }] },
        ...{ control: path.join(dir, `${vm}.ctl`), ...more },
      }),
    );

  test('are those whose daemon answers, with when they fence', async () => {
    const places = { configDir: dir, stateDir: dir, runDir: dir };
    await write('web', {});
    await write('down', {});
    await write('db', { fence: { command: ['/bin/fence'], delayMs: 700 } });
    await writeFile(path.join(dir, 'torn.yaml'), '{');
    const methods = methodsOf(() =>
      Promise.resolve({ who: 'the daemon', handlers: { status: () => PRIMARY } }),
    );
    const server = await ControlServer.listen(path.join(dir, 'db.ctl'), methods);
    try {
      expect(await otherVms('web', places)).toEqual([
        { vm: 'db', role: 'primary', fencesAfterMs: 5700 },
      ]);
    } finally {
      await server.close();
    }
  });
});
