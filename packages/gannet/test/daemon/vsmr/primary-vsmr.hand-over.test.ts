import { afterEach, expect, test } from '@jest/globals';
import { VsmrScene } from '../../support/vsmr-scene.js';

// A last checkpoint, after which the guest stays stopped.

const MARK = 'gannet-halted';

let scene: VsmrScene;
afterEach(() => scene.close());

async function started(): Promise<VsmrScene> {
  scene = await VsmrScene.create();
  await scene.start();
  return scene;
}

test('the secondary has it, the guest stands still, and QEMU tells the next daemon', async () => {
  await started();
  const conts = scene.count('cont');
  await scene.primary.handOver();
  expect([scene.status, scene.secondary?.number, scene.count('cont')]).toEqual([
    ...['paused', 2, conts],
  ]);
  expect(scene.objects).toEqual(new Set([MARK]));
  await expect(scene.primary.checkpointNow()).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
  await expect(scene.primary.handOver()).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
  expect([scene.losses, scene.troubles]).toEqual([[], []]);
});

test('a checkpoint under way ends first', async () => {
  await started();
  let handed: Promise<void> | undefined;
  scene.onSave = () => {
    handed ??= scene.primary.handOver();
  };
  await scene.primary.checkpointNow();
  await scene.until(() => handed !== undefined);
  await handed;
  expect([scene.status, scene.secondary?.number]).toEqual(['paused', 3]);
});

test('taken back, it is protected as before', async () => {
  await started();
  await scene.primary.handOver();
  await scene.primary.takeBack();
  expect([scene.status, scene.objects.size]).toEqual(['running', 0]);
  await scene.primary.checkpointNow();
  await scene.until(() => scene.secondary?.number === 3);
});

test('the secondary is let go: the guest runs on, if it may run here', async () => {
  await started();
  await scene.primary.handOver();
  scene.mayRun = false;
  await scene.primary.leave();
  expect(scene.status).toBe('paused');
  scene.mayRun = true;
  await scene.primary.leave();
  expect([scene.status, scene.objects.size]).toEqual(['running', 0]);
});

test('given up, the guest runs on, and checkpoints go on', async () => {
  await started();
  scene.onSave = () => {
    scene.onSave = () => undefined;
    scene.continue();
  };
  await expect(scene.primary.handOver()).rejects.toThrow('somebody has continued');
  expect([scene.status, scene.objects.size, scene.losses]).toEqual(['running', 0, []]);
  await scene.primary.checkpointNow();
  await scene.until(() => scene.secondary?.number === 2);
  await scene.primary.handOver();
  expect([scene.status, scene.secondary?.number]).toEqual(['paused', 3]);
});

test('the secondary dies: it is lost, and the guest waits for what follows', async () => {
  await started();
  scene.onSave = () => scene.cutLinks();
  await expect(scene.primary.handOver()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
  expect([scene.status, scene.losses.length]).toEqual(['paused', 1]);
  await scene.primary.leave();
  expect(scene.status).toBe('running');
});

test('somebody continues the guest after it: the secondary is lost', async () => {
  await started();
  scene.fake.qemu.once('object-add', () => {
    scene.continue();
    return { return: {} };
  });
  await expect(scene.primary.handOver()).rejects.toThrow('somebody has continued');
  expect(scene.losses).toEqual([expect.stringContaining('somebody has continued')]);
});
