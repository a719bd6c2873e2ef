import { mkdir, stat } from 'node:fs/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { VsmrScene } from '../../support/vsmr-scene.js';

const MARK = 'gannet-halted';

let scene: VsmrScene;
afterEach(() => scene.close());

async function started(): Promise<VsmrScene> {
  scene = await VsmrScene.create();
  await scene.start();
  expect([scene.status, scene.secondary?.number]).toEqual(['running', 1]);
  return scene;
}

/** Orders a checkpoint; resolves when it is over, whatever came of it. */
async function checkpoint({ primary, troubles, losses, secondary }: VsmrScene): Promise<void> {
  const before = [secondary?.number, troubles.length, losses.length].join();
  await primary.checkpointNow();
  await scene.until(() => before !== [secondary?.number, troubles.length, losses.length].join());
  await scene.until(() => secondary?.phase !== 'preparing' && scene.status !== 'paused');
}

describe('a guest that may not run on this host', () => {
  test('is not continued by the daemon that finds it paused', async () => {
    scene = await VsmrScene.create();
    scene.status = 'paused';
    scene.mayRun = false;
    await scene.primary.adopt();
    await scene.primary.leave();
    expect([scene.status, scene.count('cont')]).toEqual(['paused', 0]);
    // Until it may.
    scene.mayRun = true;
    await scene.primary.leave();
    expect(scene.status).toBe('running');
  });

  test('is not continued after a checkpoint, nor when the secondary is let go', async () => {
    await started();
    const conts = scene.count('cont');
    scene.onSave = () => (scene.mayRun = false);
    await scene.primary.checkpointNow();
    await scene.until(() => scene.secondary?.number === 2);
    await scene.primary.leave();
    expect([scene.status, scene.count('cont')]).toEqual(['paused', conts]);
  });

  test('nor one that was stopped for the secondary to take over', async () => {
    await started();
    await scene.primary.halt();
    scene.mayRun = false;
    await scene.primary.leave();
    expect(scene.status).toBe('paused');
    scene.mayRun = true;
    await scene.primary.leave();
    expect(scene.status).toBe('running');
  });
});

test('one that an operator has paused stays so', async () => {
  await started();
  scene.status = 'paused';
  await scene.primary.checkpointNow();
  await scene.until(() => scene.secondary?.number === 2);
  await scene.primary.leave();
  expect(scene.status).toBe('paused');
});

test('a stop that fails for its slowness, and comes all the same, is made good', async () => {
  await started();
  scene.fake.qemu.once('stop', () => {
    scene.status = 'paused';
    return { error: { class: 'GenericError', desc: 'no answer in time' } };
  });
  await checkpoint(scene);
  expect(scene.troubles).toEqual([expect.stringContaining('no answer in time')]);
  expect([scene.status, scene.losses]).toEqual(['running', []]);
});

test('a stop that comes after everything is looked at once more at the end', async () => {
  await started();
  scene.fake.qemu.once('stop', () => ({ error: { class: 'GenericError', desc: 'too slow' } }));
  await checkpoint(scene);
  scene.status = 'paused';
  await scene.primary.leave();
  expect(scene.status).toBe('running');
});

describe('a checkpoint under way', () => {
  test('is given up when the guest is stopped for good', async () => {
    await started();
    scene.onSave = () => void scene.primary.halt();
    await scene.primary.checkpointNow();
    await scene.until(() => scene.troubles.length > 0);
    expect(scene.troubles).toEqual([expect.stringContaining('stopped for good')]);
    expect([scene.status, scene.secondary?.number]).toEqual(['paused', 1]);
    expect(scene.objects).toEqual(new Set([MARK]));
  });

  test('is given up when somebody continues the guest; the next one counts', async () => {
    await started();
    scene.onSave = () => {
      scene.onSave = () => undefined;
      scene.continue();
    };
    await checkpoint(scene);
    expect(scene.troubles).toEqual([expect.stringContaining('somebody has continued')]);
    expect([scene.secondary?.number, scene.losses]).toEqual([1, []]);
    await checkpoint(scene);
    expect(scene.secondary?.number).toBe(2);
  });

  test('that the secondary has by then ends the protection on both sides', async () => {
    await started();
    scene.onSecondary = (kind) => {
      if (kind === 'committed') scene.continue();
    };
    await scene.primary.checkpointNow();
    await scene.until(() => scene.losses.length > 0);
    expect(scene.losses).toEqual([expect.stringContaining('somebody has continued')]);
    await scene.until(() => scene.secondary?.phase === 'unfit');
  });
});

describe('the first pause', () => {
  test('has a bound, and the guest runs again when it is undone', async () => {
    scene = await VsmrScene.create();
    scene.pauseMs = 100;
    scene.restart();
    scene.onSecondary = (kind) => (kind === 'committed' ? new Promise(() => undefined) : undefined);
    await expect(scene.start()).rejects.toMatchObject({
      ...{ code: 'GANNET_TIMEOUT', exit: 'timeout' },
      message: expect.stringContaining('100 ms') as unknown,
      remedy: expect.stringContaining('stageTimeoutMs') as unknown,
    });
    expect(scene.status).toBe('paused');
    await scene.primary.leave();
    expect(scene.status).toBe('running');
  });
});

describe('QEMU is as it was', () => {
  test.each([false, true])('where x-ignore-shared was %s, after a failure', async (was) => {
    scene = await VsmrScene.create({ hasSecondary: false });
    scene.ignoresShared = was;
    await expect(scene.start()).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
    expect(scene.ignoresShared).toBe(was);
    await expect(stat(scene.path('primary.ram.devices'))).rejects.toThrow('ENOENT');
  });

  test('after a QEMU that could make no snapshot', async () => {
    scene = await VsmrScene.create();
    scene.fake.qemu.on('blockdev-create', () => {
      return { error: { class: 'GenericError', desc: 'no space' } };
    });
    await expect(scene.start()).rejects.toThrow('no space');
    expect(scene.ignoresShared).toBe(false);
  });

  test('after the protection, and a folder that has others in it stays', async () => {
    await started();
    expect(scene.ignoresShared).toBe(true);
    await mkdir(scene.path('primary.ram.devices/another'));
    await scene.primary.leave();
    expect(scene.ignoresShared).toBe(false);
    await stat(scene.path('primary.ram.devices'));
  });

  test('after a protection that an earlier daemon has begun', async () => {
    await started();
    scene.restart();
    await scene.primary.adopt();
    await scene.primary.leave();
    expect(scene.ignoresShared).toBe(false);
  });
});

describe('the next daemon', () => {
  test('goes on: the guest runs only when the secondary is ready', async () => {
    await started();
    scene.status = 'paused';
    scene.cutLinks();
    await scene.until(() => scene.losses.length > 0 || scene.secondary?.phase === 'running');
    scene.restart();
    await scene.primary.adopt();
    const atResume: string[] = [];
    scene.onSecondary = (kind) => {
      if (kind === 'resumed') atResume.push(scene.status);
    };
    await scene.primary.goOn({ periodMs: 3_600_000, patienceMs: 5000 });
    expect(atResume).toEqual(['paused']);
    expect([scene.status, scene.secondary?.number]).toEqual(['running', 2]);
    await checkpoint(scene);
    expect(scene.secondary?.number).toBe(3);
  });

  test('does not, where there is no secondary; the guest waits for the word', async () => {
    scene = await VsmrScene.create({ hasSecondary: false });
    scene.status = 'paused';
    await scene.primary.adopt();
    const failed = scene.primary.goOn({ periodMs: 3_600_000, patienceMs: 50 });
    await expect(failed).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
    expect(scene.status).toBe('paused');
    await scene.primary.leave();
    expect([scene.status, scene.ignoresShared]).toEqual(['running', false]);
  });
});
