import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import {
  compareDigests,
  defaultRegions,
  findGuest,
  LabVm,
  type OracleMode,
  type OracleRegion,
  primaryCommand,
  TwoHosts,
} from '@gannet/lab';

const DISK_BYTES = 32 * 1024 * 1024;

let dir: string;
let vm: LabVm | undefined;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-e2e-'));
});
afterEach(async () => {
  await vm?.dispose();
  vm = undefined;
  await rm(dir, { recursive: true, force: true });
});

async function image(name: string): Promise<string> {
  const file = path.join(dir, name);
  await writeFile(file, '');
  await truncate(file, DISK_BYTES);
  return file;
}

async function boot(disks: readonly string[], regions: readonly OracleRegion[]): Promise<LabVm> {
  const machine = { guest: await findGuest(), regions };
  const command = primaryCommand(
    machine,
    disks.map((file) => ({ path: file })),
  );
  vm = await LabVm.start({ name: 'pvm', dir, ...command });
  await vm.oracle.waitForStart(regions.length, { signal: vm.gone });
  return vm;
}

async function overwrite(file: string, sector: number): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(512, 0xa5), 0, 512, sector * 512);
  await handle.close();
}

/** The sectors of a small region, all written often. */
const small = (mode: OracleMode): OracleRegion[] => [{ disk: 'vda', mode, first: 0, sectors: 64 }];

describe('the lab guest on a local disk', () => {
  test('all modes on two disks are clean, and memory equals the images', async () => {
    const images = { vda: await image('a.raw'), vdb: await image('b.raw') };
    const regions = defaultRegions(['vda', 'vdb']);
    const { oracle, gone, ...rest } = await bootParts(Object.values(images), regions);
    await oracle.waitForWrites(200, { signal: gone });
    await rest.vm.command('stop');
    const digests = await oracle.waitForDigests(regions.length, { signal: gone });
    const comparisons = await compareDigests(digests, images);
    expect(comparisons.filter((comparison) => !comparison.equal)).toEqual([]);
    expect(new Set(comparisons.map((comparison) => comparison.image)).size).toBe(regions.length);

    await rest.vm.command('scan');
    const scans = await oracle.waitForScans(regions.length, { signal: gone });
    expect(scans.map((scan) => scan.bad)).toEqual(regions.map(() => 0));

    await rest.vm.command('go');
    await oracle.waitForWrites(50, { signal: gone });
    expect(oracle.digests.size).toBe(0);
    expect(oracle).toMatchObject({ clean: true, torn: 0, mismatches: [], errors: [] });
    for (const counters of oracle.regions.values()) {
      expect(counters.reads).toBeGreaterThan(0);
      expect(counters.flushes).toBeGreaterThan(0);
      expect(counters.zeroes > 0).toBe(counters.mode === 'zero');
    }
  });

  test.each<OracleMode>(['4k', '512', 'unaligned', 'zero'])(
    'mode %s notices a sector changed behind its back',
    async (mode) => {
      const disk = await image('a.raw');
      const { oracle, gone, ...rest } = await bootParts([disk], small(mode));
      await oracle.waitForWrites(100, { signal: gone });
      await rest.vm.command('stop');
      const digests = await oracle.waitForDigests(1, { signal: gone });
      expect((await compareDigests(digests, { vda: disk }))[0]?.equal).toBe(true);
      await overwrite(disk, 13);
      expect((await compareDigests(digests, { vda: disk }))[0]?.equal).toBe(false);

      await rest.vm.command('scan');
      const [scan] = await oracle.waitForScans(1, { signal: gone });
      expect(scan).toMatchObject({ bad: 1, errors: 0 });
      expect(oracle.clean).toBe(false);
      expect(oracle.mismatches).toMatchObject([{ disk: 'vda', sector: 13, found: 'a5'.repeat(8) }]);
    },
  );

  test('a mismatch shows while the oracle runs', async () => {
    const disk = await image('a.raw');
    const { oracle, gone } = await bootParts([disk], small('512'));
    await oracle.waitForWrites(50, { signal: gone });
    for (let sector = 0; sector < 64; sector++) await overwrite(disk, sector);
    await oracle.waitFor('a mismatch', () => oracle.mismatches.length > 0, { signal: gone });
    expect(oracle.clean).toBe(false);
  });

  test('a layout that cannot be ends the guest with its reason', async () => {
    const disk = await image('a.raw');
    const beyond: OracleRegion[] = [{ disk: 'vda', mode: '512', first: 65535, sectors: 2 }];
    await expect(boot([disk], beyond)).rejects.toThrow(/region-beyond-disk/);
  });
});

describe('LabVm', () => {
  test('halts, goes on, dies, and leaves nothing', async () => {
    const disk = await image('a.raw');
    const { oracle, gone, ...rest } = await bootParts([disk], small('4k'));
    await oracle.waitForWrites(1, { signal: gone });
    rest.vm.sigstop();
    await delay(100);
    const before = oracle.writes;
    await delay(1500);
    expect(oracle.writes).toBe(before);
    rest.vm.sigcont();
    await oracle.waitForWrites(1, { signal: gone });
    expect(rest.vm.qmpPaths.every((socket) => existsSync(socket))).toBe(true);
    for (const socket of rest.vm.qmpPaths) expect(await greeting(socket)).toContain('"QMP"');

    expect(await rest.vm.kill()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(() => process.kill(rest.vm.pid, 0)).toThrow(/ESRCH/);
    await expect(oracle.waitForWrites(1, { signal: gone })).rejects.toThrow('the VM has gone');
    await rest.vm.dispose();
    expect(existsSync(rest.vm.dir)).toBe(false);
    expect(existsSync(disk)).toBe(true);
  });
});

test('a wait that times out says what the guest does', async () => {
  const { oracle, gone, ...rest } = await bootParts([await image('a.raw')], small('4k'));
  await oracle.waitForWrites(1, { signal: gone });
  const inVain = async (): Promise<string> =>
    oracle.waitForWrites(1e9, { signal: gone, timeoutMs: 1 }).then(String, String);
  const running = await inVain();
  expect(running).toMatch(/VM status: running/);
  expect(running).toMatch(/^\d+ qemu-system-x86 [RSD] \d+\+\d+ /m);
  // 11.1 has a table for it.
  expect(running).toMatch(/wr_operations=[1-9]|^Write: +\d+ +[1-9]/m);
  expect(running).toMatch(/info virtio-queue-status[^]* last_avail_idx: +[1-9]/);
  expect(running).toMatch(/info virtio-queue-element[^]* avail:[^]* idx: +[1-9]/i);
  rest.vm.sigstop();
  const halted = await inVain();
  expect(halted).toMatch(/^\d+ qemu-system-x86 T \d+\+\d+ /m);
  expect(halted).toMatch(/its monitor does not answer/);
});

async function bootParts(disks: readonly string[], regions: readonly OracleRegion[]) {
  const booted = await boot(disks, regions);
  return { vm: booted, oracle: booted.oracle, gone: booted.gone };
}

function greeting(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.once('error', reject).once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
  });
}

/**
 * At each round of a migration the shim has the TLBs flushed. Where that was done from another
 * thread than the processor's, QEMU 10.0 and 11.1 died within seconds; scripts/matrix.mjs runs this
 * on them.
 */
test('the shim lets a guest live whose memory is sent again and again', async () => {
  const running = await boot([await image('a.raw')], defaultRegions(['vda']));
  const target = { kind: 'unix', path: running.qmpPaths[0] } as const;
  const qmp = await QmpClient.connect({ target });
  try {
    let rounds = 0;
    for (const end = Date.now() + 12_000; Date.now() < end;) {
      await qmp.execute('migrate', { uri: 'exec:cat >/dev/null' });
      for (let status = 'setup'; status !== 'completed'; await delay(50)) {
        running.gone.throwIfAborted();
        const info = await qmp.execute('query-migrate');
        status = info.status ?? status;
        if (status === 'completed') rounds += info.ram?.['dirty-sync-count'] ?? 0;
      }
      await qmp.execute('cont');
    }
    expect(rounds).toBeGreaterThan(10);
  } finally {
    await qmp.close();
  }
  await running.oracle.waitForWrites(50, { signal: running.gone });
  expect(running.oracle).toMatchObject({ clean: true, mismatches: [], errors: [] });
});

describe('a network of two hosts', () => {
  test('closes a link that it resets at the next packet, and not one that it drops', async () => {
    const far = path.join(dir, 'far.sock');
    const ends: string[] = [];
    const served = createServer((socket) => {
      socket.on('close', () => ends.push('far')).on('error', () => undefined);
      socket.resume();
    }).listen(far);
    await once(served, 'listening');
    const near = path.join(dir, 'near.sock');
    const network = await TwoHosts.create([{ name: 'link', near, far }]);
    try {
      const socket = connect(near).on('error', () => undefined);
      socket.on('close', () => ends.push('near'));
      await once(socket, 'connect');
      await network.cut('drop', 'link');
      socket.write('lost for now');
      await delay(300);
      expect(ends).toEqual([]);
      await network.mend();
      await network.cut('reset', 'link');
      for (let tries = 0; tries < 500 && !ends.includes('near'); tries++) {
        socket.write('refused');
        await delay(20);
      }
      expect(ends).toContain('near');
    } finally {
      await network.dispose();
      served.close();
    }
  });
});
