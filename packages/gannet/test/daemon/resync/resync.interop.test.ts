import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { PrimaryConfig } from '@gannet/contract';
import { NbdServer } from '@gannet/nbd';
import { type DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import { QmpClient } from 'qemu-qmp-client';
import { answerAudit } from '../../../src/daemon/verify/audit-questions.js';
import { Resync, type ResyncOptions } from '../../../src/daemon/resync/resync.js';
import { asUpdate } from '../../../src/inspect/disk-links.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 64 * MIB;

let dir = '';
let qemu: ChildProcess | undefined;
let qmp: QmpClient | undefined;
let secondary: Secondary | undefined;
const at = (name: string): string => path.join(dir, name);

/** A secondary's daemon, as far as disks are concerned. */
class Secondary {
  private constructor(
    readonly replica: Replica,
    private readonly server: NbdServer,
  ) {}

  static async start(): Promise<Secondary> {
    const replica = await Replica.open({
      vm: 'vm',
      disks: [{ name: 'disk0', base: at('base.raw'), sizeBytes: DISK_BYTES }],
    });
    const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
    await server.listen({ path: at('nbd') });
    return new Secondary(replica, server);
  }

  commit(): void {
    this.replica.gate.close();
    this.replica.commit();
    this.replica.gate.open();
  }

  /** What was committed goes to the base. */
  async writeBack(): Promise<void> {
    const batch = this.replica.nextBatch();
    if (!batch) return;
    await batch.ready();
    for (const run of batch.runs()) await run.write();
    await batch.sync();
    batch.finish();
  }

  async untilBasis(): Promise<void> {
    const { replica } = this;
    while (replica.basis.recorded?.replica !== replica.uuid) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** As a daemon that is killed: its connections break, and nothing more is written. */
  async die(): Promise<void> {
    this.replica.leave();
    await this.server.close();
    await this.replica.close();
  }
}

const link: DiskLink = {
  ...{ id: 'disk0', device: 'vb0', link: 'nbd', export: 'pvm' },
  server: { type: 'unix', path: '' },
  seedExports: { begin: 'pvm-seed', resume: 'pvm-resume', link: 'pvm-link' },
};

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'gannet-resync-'));
  execFileSync('truncate', ['-s', String(DISK_BYTES), at('own.raw')]);
  qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc,accel=tcg', '-m', '32', '-nodefaults', '-display', 'none', '-S'],
      ...['-qmp', `unix:${at('qmp')},server=on,wait=off`],
      ...['-blockdev', `driver=file,node-name=file0,filename=${at('own.raw')}`],
      ...['-blockdev', 'driver=raw,node-name=own0,file=file0'],
      '-blockdev',
      'driver=quorum,node-name=quorum0,children.0=own0,vote-threshold=1,read-pattern=fifo',
      ...['-device', 'virtio-blk-pci,id=vb0,drive=quorum0'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  for (let tries = 0; qmp === undefined; tries++) {
    qmp = await QmpClient.connect({ target: { kind: 'unix', path: at('qmp') } }).catch(
      (error: unknown) => {
        if (tries > 600) throw error;
        return undefined;
      },
    );
    if (!qmp) await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

afterEach(async () => {
  await secondary?.die().catch(() => undefined);
  await qmp?.close();
  [secondary, qmp] = [undefined, undefined];
  if (qemu && qemu.exitCode === null) {
    qemu.kill('SIGKILL');
    await once(qemu, 'exit');
  }
  rmSync(dir, { recursive: true, force: true });
});

/** The guest writes: through its device, and so through all that is above its disk. */
async function write(byte: number, offset: number, length: number): Promise<void> {
  const line = `qemu-io -d /machine/peripheral/vb0/virtio-backend "write -P ${byte} ${offset} ${length}"`;
  const answer = await qmp!.execute('human-monitor-command', { 'command-line': line });
  if (/fail|rror/.test(answer)) throw new Error(answer);
}

function resyncOf(events: unknown[]): Resync {
  const peer = () => ({ status: { basis: secondary?.replica.basis.recorded } });
  const config = { vm: 'vm', control: at('ctl'), qmp: { type: 'unix', path: at('qmp') } };
  return new Resync({
    config: () => ({ ...config, primary: { nbd: { type: 'unix', path: at('nbd') } } }) as never,
    links: [here()],
    link: () =>
      ({
        get peer() {
          return peer();
        },
        ask: (question: never) => answerAudit(secondary!.replica, question),
      }) as unknown as ReturnType<ResyncOptions['link']>,
    qmp: () => qmp,
    history: { add: (kind: string, details: unknown) => events.push({ kind, ...(details as {}) }) },
    onTrouble: (error) => events.push(error),
  } as ResyncOptions & { config: () => PrimaryConfig });
}

const here = (): DiskLink => ({ ...link, server: { type: 'unix', path: at('nbd') } });

/** `protect`, as far as disks are concerned: up to the first commit. */
async function protect(
  resync: Resync,
  during: () => Promise<void> = () => Promise.resolve(),
): Promise<{ driver: PrimaryDriver; how: string; reason: string }> {
  const driver = new PrimaryDriver(qmp!, {});
  const { how, reason, track } = await resync.plan();
  if (track) {
    await driver.seed([asUpdate(here())], {
      alongside: async (signal) => {
        await during();
        const bounds = { bytesPerSec: () => 0, onProgress: () => undefined };
        await resync.update(track, { signal, ...bounds });
      },
    });
  } else {
    await driver.seed([here()]);
  }
  await driver.attach([here()]);
  secondary!.commit();
  return { driver, how, reason };
}

async function bitmaps(): Promise<string[]> {
  const nodes = await qmp!.execute('query-named-block-nodes', { flat: true });
  return nodes.flatMap((node) => node['dirty-bitmaps'] ?? []).flatMap(({ name }) => name ?? []);
}

function expectEqualDisks(): void {
  const [own, base] = [at('own.raw'), at('base.raw')].map((file) => readFileSync(file));
  expect(own!.equals(base!)).toBe(true);
}

describe('with a real QEMU', () => {
  test('losses in a row: each time only what has changed crosses, and the disks are equal', async () => {
    const events: Record<string, unknown>[] = [];
    const resync = resyncOf(events);
    await write(1, 0, 24 * MIB);
    secondary = await Secondary.start();
    let { driver, how } = await protect(resync);
    expect(how).toBe('whole');
    await secondary.untilBasis();

    for (let loss = 1; loss <= 4; loss++) {
      // Committed and in the base; committed and lost with memory; never committed; while alone.
      await write(10 * loss + 1, loss * MIB, 65_536);
      secondary.commit();
      await secondary.writeBack();
      await write(10 * loss + 2, (loss + 5) * MIB, 65_536);
      secondary.commit();
      await write(10 * loss + 3, (loss + 10) * MIB + 4096, 4096);
      await secondary.die();
      await driver.runAlone();
      await write(10 * loss + 4, (loss + 15) * MIB, 131_072);
      await write(0, (loss + 40) * MIB, 65_536);

      secondary = await Secondary.start();
      const again = await protect(resync, async () => {
        await write(10 * loss + 5, (loss + 15) * MIB + 512, 1024);
        await write(10 * loss + 6, 60 * MIB + loss * 4096, 4096);
      });
      expect(again).toMatchObject({ how: 'changes' });
      driver = again.driver;
      const { copiedBytes } = events.findLast(({ kind }) => kind === 'resynced') as {
        copiedBytes: number;
      };
      // Seven ranges of this round at most, and what of the last was not replaced yet.
      expect(copiedBytes).toBeGreaterThan(0);
      expect(copiedBytes).toBeLessThanOrEqual(2 * 8 * 65_536);
      await secondary.untilBasis();
      await secondary.writeBack();
      expectEqualDisks();
      expect((await bitmaps()).filter((name) => name.startsWith('gannet-'))).not.toContain(
        'gannet-writes-frozen',
      );
    }
    expect(events.filter((event) => event instanceof Error)).toEqual([]);
  });

  test('another daemon on the primary knows nothing: all is copied, and nothing is left', async () => {
    const events: unknown[] = [];
    await write(1, 0, MIB);
    secondary = await Secondary.start();
    const { driver } = await protect(resyncOf(events));
    await secondary.untilBasis();
    await secondary.die();
    await driver.runAlone();
    await write(2, 3 * MIB, 4096);
    secondary = await Secondary.start();
    const again = await protect(resyncOf(events));
    expect(again.how).toBe('whole');
    expect(again.reason).toContain('was not recorded in this QEMU');
    await secondary.untilBasis();
    expectEqualDisks();
    // That of the copy before is gone.
    expect((await bitmaps()).filter((name) => name.startsWith('gannet-'))).toHaveLength(1);
  });

  test('a bitmap that somebody has removed is not missed: all is copied', async () => {
    const resync = resyncOf([]);
    await write(1, 0, MIB);
    secondary = await Secondary.start();
    const { driver } = await protect(resync);
    await secondary.untilBasis();
    await secondary.die();
    await driver.runAlone();
    for (const name of (await bitmaps()).filter((one) => one.startsWith('gannet-'))) {
      await qmp!.execute('block-dirty-bitmap-remove', { node: 'own0', name });
    }
    await write(2, 3 * MIB, 4096);
    secondary = await Secondary.start();
    const again = await protect(resync);
    expect(again).toMatchObject({ how: 'whole' });
    expect(again.reason).toContain('not recorded any more');
    await secondary.untilBasis();
    expectEqualDisks();
  });
});
