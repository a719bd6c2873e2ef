import { describe, expect, test } from '@jest/globals';
import { type PrimaryDriver, WaitError } from '@gannet/qmp-driver';
import { GannetError, type PrimaryConfig } from '@gannet/contract';
import { type ProtectOptions, ProtectRun } from '../../../src/daemon/primary/protect.js';

import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { termsInMemory } from '../../support/records.js';

// A protection whose stages hang on a secondary that is gone, until its links are cut.

type Stage = 'seed' | 'attach' | 'start' | 'finishSeed';
const NAMES: Record<Stage, string> = {
  seed: 'seed',
  attach: 'attach',
  start: 'colo',
  finishSeed: 'finish',
};

/** @param abort what the stage fails with; default: an error of its own */
function hangingAt(stage: Stage, abort?: Error, trouble?: string) {
  let vm = 'ready';
  const called: string[] = [];
  let reached: () => void = () => undefined;
  const isThere = new Promise<void>((resolve) => (reached = resolve));
  let cut: () => void = () => undefined;
  const isCut = new Promise<void>((resolve) => (cut = resolve));
  const step = (name: Stage) => async (): Promise<void> => {
    called.push(name);
    if (name !== stage) return;
    reached();
    await isCut;
    throw abort ?? new Error(`${name} lost its link`);
  };
  const driver = {
    preflight: () => Promise.resolve([]),
    seed: step('seed'),
    attach: step('attach'),
    start: step('start'),
    finishSeed: step('finishSeed'),
    cutSeeds: () => {
      called.push('cutSeeds');
      return Promise.resolve();
    },
    cutLinks: () => {
      called.push('cutLinks');
      cut();
      return Promise.resolve();
    },
    rollback: () => {
      called.push('rollback');
      return Promise.resolve();
    },
  };
  let state = 'seeding';
  const terms = termsInMemory(BLANK);
  const peer = {
    get status() {
      const word = state === 'protected' ? 'protected' : 'none';
      const said = word === 'none' ? BLANK : { ...terms.record, word };
      const well = { role: 'secondary', state, epoch: 1, vm, link: 'whole' };
      return { ...well, trouble, record: said };
    },
    silentMs: 0,
  };
  const options = {
    driver: driver as unknown as PrimaryDriver,
    links: [],
    link: { state: 'up', peer } as unknown as ProtectOptions['link'],
    tls: { put: () => Promise.resolve(), drop: () => Promise.resolve() },
    history: { add: () => undefined },
    terms,
    progress: () => undefined,
    bytesPerSec: undefined,
    config: () =>
      ({
        engine: 'colo',
        primary: {
          stageTimeoutMs: 3_600_000,
          seedTimeoutMs: 3_600_000,
          peer: {},
          migrate: 'unix:/m',
        },
        peer: { heartbeatMs: 50, lowMs: 200, highMs: 1000 },
        network: [],
      }) as unknown as PrimaryConfig,
    askBoth: () => Promise.resolve([{}, {}]),
    onStage: (name: string) => {
      if (name === 'first checkpoint') state = 'protected';
    },
    checkpoint: () => Promise.resolve(),
    resync: { plan: () => Promise.resolve({ how: 'whole', reason: 'the first copy' }) },
  } as unknown as ProtectOptions;
  const loseVm = (): void => void (vm = 'lost');
  return { run: new ProtectRun(options), called, isThere, terms, options, loseVm };
}

describe('the memory of both sides', () => {
  const MIB = 2 ** 20;
  const side = (sizeBytes: number, ramBlocks: Record<string, number>) => ({
    report: {
      objects: [],
      memory: { sizeBytes },
      ramBlocks: { 'pc.ram': sizeBytes, ...ramBlocks },
    },
  });

  test.each([
    [
      'another size',
      side(128 * MIB, {}),
      /memory: sizeBytes=.*; the block of memory pc.ram: 67108864 bytes on the primary, 134217728/,
    ],
    [
      'a device that the secondary lacks',
      side(64 * MIB, {}),
      /the block of memory vga.vram: 16777216 bytes on the primary, missing on the secondary/,
    ],
  ])('%s is refused before anything is copied', async (_what, secondary, message) => {
    const { options, called } = hangingAt('seed');
    const primary = side(64 * MIB, { 'vga.vram': 16 * MIB });
    const askBoth = (): Promise<never> => Promise.resolve([primary, secondary] as never);
    await expect(new ProtectRun({ ...options, askBoth }).run()).rejects.toMatchObject({
      code: 'GANNET_STAGE_FAILED',
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(/^Start the secondary with .*--print-secondary` prints\.$/),
    });
    expect(called).toEqual([]);
  });

  test.each([
    ['the same', side(64 * MIB, {})],
    ['a device that only the secondary has', side(64 * MIB, { 'vga.vram': MIB })],
    ['no report', {}],
    ['no answer', undefined],
  ])('%s is not refused', async (_what, secondary) => {
    const { options, isThere, called } = hangingAt('seed');
    const both = [side(64 * MIB, {}), secondary] as never;
    const noAnswer = new Error('no answer over the peer link');
    const askBoth = (): Promise<never> =>
      secondary === undefined ? Promise.reject(noAnswer) : Promise.resolve(both);
    const run = new ProtectRun({ ...options, askBoth });
    const running = run.run();
    await isThere;
    run.cancel(new GannetError('GANNET_NOT_READY', 'enough', 'Again.'));
    await options.driver.cutLinks(0);
    await expect(running).rejects.toThrow('stage seed');
    expect(called[0]).toBe('seed');
  });

  test('is no concern of COLO if it is in one file: QEMU copies it', async () => {
    const { options, isThere } = hangingAt('seed');
    const properties = { 'mem-path': '/dev/hugepages', share: true };
    const objects = [{ id: 'ram0', type: 'memory-backend-file', properties }];
    const memory = { sizeBytes: 64 * MIB, backend: 'ram0' };
    const one = { hostname: 'localhost', report: { objects, memory, ramBlocks: {} } };
    const askBoth = (): Promise<never> => Promise.resolve([one, one] as never);
    const run = new ProtectRun({ ...options, askBoth });
    const running = run.run();
    await Promise.race([isThere, running]);
    await options.driver.cutLinks(0);
    await expect(running).rejects.toThrow('stage seed');
  });
});

describe('a secondary that is lost while it is being protected', () => {
  test.each<Stage>(['attach', 'start', 'finishSeed'])(
    'ends the protection, and frees the guest: %s',
    async (stage) => {
      const { run, called, isThere, terms } = hangingAt(stage);
      const running = run.run();
      await isThere;
      await run.lose('the secondary has been silent for 1000 ms');
      await expect(running).rejects.toMatchObject({
        code: 'GANNET_STAGE_FAILED',
        message: expect.stringContaining(`stage ${NAMES[stage]}`),
      });
      expect(called.slice(-2)).toEqual(['cutLinks', 'rollback']);
      // A replica that is in step with term 1 by now is outdated.
      expect(terms.record).toMatchObject({ term: 2, word: 'alone' });
    },
  );

  test('is told with why it was lost and with what it says itself, not as an abort', async () => {
    const aborted = new WaitError('DRIVER_ABORTED', 'entering COLO was aborted', 'Start again.');
    const { run, isThere } = hangingAt('start', aborted, 'its guest is stopped');
    const running = run.run();
    await isThere;
    await run.lose('COLO has ended');
    await expect(running).rejects.toMatchObject({
      message: 'stage colo: COLO has ended; the secondary says: its guest is stopped',
    });
  });

  test('whose QEMU has ended is told as that, with where QEMU has said why', async () => {
    const failed = new Error('the migration to unix:/m failed: Unable to write to socket');
    const { run, isThere, loseVm, options } = hangingAt('start', failed);
    const running = run.run();
    await isThere;
    loseVm();
    await options.driver.cutLinks(0);
    await expect(running).rejects.toMatchObject({
      message: `stage colo: ${failed.message}; the secondary says: its QEMU has ended`,
      remedy: expect.stringMatching(/standard error.* Then restart the secondary/),
    });
  });

  test('while the disks are copied is waited for: the links are cut, and made again', async () => {
    const { run, called, isThere } = hangingAt('seed');
    void run.run().catch(() => undefined);
    await isThere;
    await run.lose('the secondary has been silent for 1000 ms');
    expect(called).toEqual(['seed', 'cutSeeds']);
  });
});

describe('a period that a reload changes while the VM is being protected', () => {
  const STAGES = ['seed', 'attach', 'colo', 'first checkpoint', 'finish', 'network'] as const;

  test.each(STAGES)('in stage %s is the one that QEMU has at the end', async (changedIn) => {
    const { options } = hangingAt('seed');
    let periodMs = 8000;
    let qemuHas = 0;
    // Each stage is over a little later than it begins, and the reload comes in between.
    const step = async (stage: (typeof STAGES)[number]): Promise<void> => {
      await Promise.resolve();
      if (stage === changedIn) periodMs = 500;
      await Promise.resolve();
    };
    const driver = {
      preflight: () => Promise.resolve([]),
      seed: () => step('seed'),
      attach: () => step('attach'),
      start: async (colo: { periodMs: number }) => {
        qemuHas = colo.periodMs;
        await step('colo');
      },
      finishSeed: () => step('finish'),
      setPeriod: (ms: number) => {
        qemuHas = ms;
        return Promise.resolve();
      },
    };
    await new ProtectRun({
      ...options,
      driver: driver as unknown as PrimaryDriver,
      config: () => {
        const { engine, primary, peer } = options.config();
        const network = [{ netdev: 'net0' }];
        return {
          primary: { ...primary, checkpointPeriodMs: periodMs },
          ...{ engine, peer, network },
        } as unknown as PrimaryConfig;
      },
      onStage: (stage) => {
        options.onStage(stage);
        if (stage === 'first checkpoint' && changedIn === stage) periodMs = 500;
      },
      checkpoint: () => step('network'),
    }).run();
    expect(qemuHas).toBe(500);
  });
});
