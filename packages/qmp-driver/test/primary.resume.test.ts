/**
 * A mirror whose target breaks or hangs: it halts, is given another connection and goes on, until
 * it is sealed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { type DiskLink, PrimaryDriver, type SeedOptions, type SeedProgress } from '../src/index.js';
import { DISK_BYTES, DONE, FakeVm, refuse } from './support/fake-vm.js';

const JOB = 'g0-seed';
const DISK: DiskLink = {
  ...{ device: 'drive1', link: 'mirror', export: 'pvm', id: 'g0' },
  server: { type: 'unix', path: '/nowhere/nbd.sock' },
  seedExports: { begin: 'pvm-seed', resume: 'pvm-resume', link: 'pvm-link' },
};

let vm: FakeVm;
let qmp: QmpClient;
let driver: PrimaryDriver;
let failures: string[];
let seen: SeedProgress[];

beforeEach(async () => {
  vm = new FakeVm();
  vm.instant = false;
  qmp = await vm.connect();
  failures = [];
  seen = [];
  driver = new PrimaryDriver(qmp, {
    ...{ probePeer: false, pollMs: 5, commandTimeoutMs: 1500, stepTimeoutMs: 3000 },
    stallTimeoutMs: 5000,
    onLinkFailure: ({ message }) => failures.push(message),
  });
});
afterEach(() => qmp.close());

/** The copy has begun, and is watched. */
async function begin({ doesStep = false, ...options }: SeedOptions & { doesStep?: boolean } = {}) {
  const onProgress = (progress: SeedProgress): void => {
    seen.push(progress);
    // Seen at once, and a step later at the next look.
    if (doesStep) vm.jobs.get(JOB)!.offset += 1;
  };
  const seeding = driver.seed([DISK], { ...options, onProgress });
  seeding.catch(() => undefined);
  await until(() => seen.length > 0);
  return { seeding };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    if (tries > 2000) throw new Error('timed out');
    await sleep(2);
  }
}

const times = (command: string): number => vm.sent(command).length;

async function breakAndResume(): Promise<void> {
  const resumed = times('job-resume');
  vm.haltJob(JOB);
  await until(() => times('job-resume') > resumed);
}

async function seeded(): Promise<void> {
  const { seeding } = await begin();
  vm.makeReady(JOB);
  await seeding;
}

const FAILED = `the mirror of drive1 (job ${JOB}) has met an I/O error`;

describe('a mirror that halts', () => {
  test('is told to, and has its speed', async () => {
    const { seeding } = await begin({ speedBytesPerSec: 1000 });
    expect(vm.sent('blockdev-mirror')).toMatchObject([{ 'on-target-error': 'stop', speed: 1000 }]);
    await driver.setSeedSpeed(5000);
    expect(vm.sent('block-job-set-speed')).toEqual([{ device: JOB, speed: 5000 }]);
    await until(() => seen.at(-1)?.limitBytesPerSec === 5000);
    vm.makeReady(JOB);
    await seeding;
  });

  test('goes on over a new connection, the same job: what is copied stays copied', async () => {
    const { seeding } = await begin();
    const before = vm.qemu.received.length;
    await breakAndResume();
    const changes = ['yank', 'blockdev-add', 'blockdev-reopen', 'blockdev-del', 'job-resume'];
    const commands = vm.commands().slice(before);
    expect(
      commands.filter((command) => !command.startsWith('query-') && !command.startsWith('x-')),
    ).toEqual(changes);
    expect(vm.yanked).toEqual(['g0-seed0']);
    expect(vm.sent('blockdev-add').map(({ export: name }) => name)).toEqual([
      // A connection that QEMU makes again by itself must not begin the copy again.
      'pvm-seed',
      'pvm-resume',
      undefined,
      'pvm-resume',
    ]);
    expect(vm.children('g0-seed')).toEqual(['file=g0-seed1']);

    await breakAndResume();
    expect(vm.yanked).toEqual(['g0-seed0', 'g0-seed1']);
    expect(vm.children('g0-seed')).toEqual(['file=g0-seed0']);
    vm.makeReady(JOB);
    await seeding;
    expect(times('blockdev-mirror')).toBe(1);
    expect(times('block-job-cancel')).toBe(0);
    expect(failures).toEqual([]);
    expect(seen.some(({ down }) => down !== undefined)).toBe(true);
    expect(seen.at(-1)?.down).toBeUndefined();
  });

  test('in an I/O thread: the guest stands still while connections are exchanged', async () => {
    vm.qemu.on('qom-get', ({ arguments: args }) =>
      args['property'] === 'iothread' ? { return: '/objects/thread0' } : refuse('none'),
    );
    const { seeding } = await begin();
    await breakAndResume();
    vm.makeReady(JOB);
    await seeding;
    await driver.attach([DISK]);
    const commands = vm.commands();
    const around = [...commands.keys()].filter((at) => commands[at] === 'blockdev-reopen');
    expect(around.map((at) => [commands[at - 1], commands[at + 1]])).toEqual([
      ['stop', 'cont'],
      ['stop', 'cont'],
    ]);
    expect(vm.status).toBe('running');
  });

  test('when it was READY: it is so again only when nothing is dirty any more', async () => {
    const asked = (): number => times('query-named-block-nodes');
    const { seeding } = await begin();
    let isSeeded = false;
    const done = seeding.then(() => (isSeeded = true));
    vm.dirtyBytes.set('plainnode', 65_536);
    vm.makeReady(JOB);
    vm.haltJob(JOB);
    await until(() => times('job-resume') === 1);
    const before = asked();
    await until(() => asked() > before + 3);
    expect(isSeeded).toBe(false);
    vm.dirtyBytes.set('plainnode', 0);
    await done;
    await driver.attach([DISK]);
    expect(failures).toEqual([]);
  });

  test('that was never broken is not asked for dirty blocks', async () => {
    vm.dirtyBytes.set('plainnode', 65_536);
    await seeded();
  });

  test('without space, or again and again without progress, has failed', async () => {
    const { seeding: full } = await begin();
    vm.haltJob(JOB, 'nospace');
    await expect(full).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: `the mirror of drive1 (job ${JOB}) stands still: no space for the replica`,
    });
    expect(times('job-resume')).toBe(0);
    await driver.rollback();

    seen = [];
    const { seeding: fruitless } = await begin();
    vm.qemu.on('job-resume', () => {
      setImmediate(() => vm.haltJob(JOB));
      return DONE;
    });
    vm.haltJob(JOB);
    await expect(fruitless).rejects.toThrow('has met an I/O error again and again');
  });

  test('without space, reported right after an older answer', async () => {
    const { seeding } = await begin();
    vm.haltJobBehindAnswer(JOB, 'nospace');
    await expect(seeding).rejects.toThrow('stands still: no space for the replica');
    expect(times('job-resume')).toBe(0);
  });

  test('has failed if the replicator refuses to go on', async () => {
    const { seeding } = await begin();
    vm.qemu.on('blockdev-add', () => refuse('Denied by server'));
    vm.haltJob(JOB);
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_SEED_FAILED',
      message: expect.stringContaining('refuses to go on with the copy of drive1') as unknown,
    });
    expect(times('job-resume')).toBe(0);
  });

  test('is waited for only so long', async () => {
    const { seeding } = await begin({ linkTimeoutMs: 100 });
    vm.qemu.on('blockdev-add', () => refuse('Connection refused'));
    vm.haltJob(JOB);
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
  });
});

describe('a mirror that hangs', () => {
  /** What hangs on a connection fails when that is cut. */
  function haltOnYank(): void {
    let isCut = false;
    vm.qemu.on('yank', ({ arguments: args }) => {
      for (const instance of args['instances'] as Record<string, unknown>[]) {
        vm.yanked.push(String(instance['node-name']));
      }
      if (!isCut) setImmediate(() => vm.haltJob(JOB));
      isCut = true;
      return DONE;
    });
  }

  test('has its connection cut, out-of-band, and goes on', async () => {
    haltOnYank();
    const { seeding } = await begin({ linkStallMs: 40 });
    vm.qemu.on('job-resume', () => {
      vm.makeReady(JOB);
      return DONE;
    });
    await seeding;
    // By the stall, and once more before another connection is made.
    expect(vm.yanked.slice(0, 2)).toEqual(['g0-seed0', 'g0-seed0']);
    expect(vm.children('g0-seed')).toEqual(['file=g0-seed1']);
    expect(vm.qemu.received.find(({ command }) => command === 'yank')).toMatchObject({ oob: true });
  });

  test('is not one that is throttled and sleeps between its steps', async () => {
    const { seeding } = await begin({ linkStallMs: 40, speedBytesPerSec: 1 << 20 });
    await until(() => seen.length > 20);
    await sleep(100);
    expect(vm.yanked).toEqual([]);
    vm.makeReady(JOB);
    await seeding;
  });

  test('is not one that steps forward', async () => {
    const { seeding } = await begin({ linkStallMs: 1, doesStep: true });
    await until(() => vm.jobs.get(JOB)!.offset > 20);
    expect(vm.yanked).toEqual([]);
    vm.makeReady(JOB);
    await seeding;
  });

  test('can be cut from outside, until it is sealed', async () => {
    const { seeding } = await begin();
    await driver.cutSeeds();
    expect(vm.yanked).toEqual(['g0-seed0']);
    vm.makeReady(JOB);
    await seeding;
    await driver.attach([DISK]);
    await driver.cutSeeds();
    expect(vm.yanked).toEqual(['g0-seed0']);
  });
});

describe('the seal', () => {
  test('comes before the link, which takes the place of the connections of the copy', async () => {
    await seeded();
    await driver.attach([DISK]);
    expect(vm.sent('blockdev-add').at(-1)).toMatchObject({
      ...{ driver: 'nbd', 'node-name': 'g0-nbd', export: 'pvm-link' },
    });
    expect(vm.children('g0-seed')).toEqual(['file=g0-nbd']);
    expect(vm.nodes.has('g0-seed0')).toBe(false);
    expect(failures).toEqual([]);
  });

  test('I5 no silent divergence: an error after it is the end, told at once', async () => {
    await seeded();
    await driver.attach([DISK]);
    vm.haltJob(JOB);
    await until(() => failures.length > 0);
    expect(failures).toEqual([FAILED]);
    expect(times('job-resume')).toBe(0);
    await expect(driver.finishSeed()).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
      message: FAILED,
    });
  });

  test('I5 no silent divergence: an error before it that is not resumed fails', async () => {
    await seeded();
    vm.haltJob(JOB);
    await qmp.execute('query-status');
    await expect(driver.attach([DISK])).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
      message: FAILED,
    });
    expect(vm.sent('blockdev-add').some(({ export: name }) => name === 'pvm-link')).toBe(false);
  });

  test('I5 no silent divergence: an error while the link opens fails', async () => {
    await seeded();
    vm.onReopen = () => vm.haltJob(JOB);
    await expect(driver.attach([DISK])).rejects.toMatchObject({
      code: 'DRIVER_SEED_LOST',
      message: FAILED,
    });
  });

  test('its copy is not cut by cutSeeds() any more, though its connection is there', async () => {
    const disk = { ...DISK, device: 'vb0', link: 'replication' } as const;
    vm.instant = true;
    await driver.seed([disk]);
    await driver.attach([disk]);
    expect(vm.nodes.has('g0-seed0')).toBe(true);
    await driver.cutSeeds();
    expect(vm.yanked).toEqual([]);
  });

  test('a copy found running by another process is sealed', async () => {
    await seeded();
    await driver.attach([DISK]);
    const next = new PrimaryDriver(qmp, { onLinkFailure: ({ message }) => failures.push(message) });
    await next.adopt([DISK]);
    vm.haltJob(JOB);
    await until(() => failures.length > 1);
    expect(failures).toEqual([FAILED, FAILED]);
    expect(vm.jobs.get(JOB)?.offset).toBe(DISK_BYTES);
  });
});
