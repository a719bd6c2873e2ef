/** The VSMR engine with real VMs, on unmodified QEMU: no COLO, no preloaded library. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { killAndTakeOver, makeCheckpoints } from './survival.js';
import { VsmrPair } from '@gannet/lab';

const CHECKPOINTS = 4;

let pair: VsmrPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

test('checkpoints, one that QEMU cannot load, kill -9, and a takeover without a loss', async () => {
  pair = await VsmrPair.create();
  const { primary, secondary } = pair.engines;
  await makeCheckpoints(pair, CHECKPOINTS);

  // It has replaced pages by the time that QEMU fails to load the devices: they are put back.
  const { guest } = pair.secondary;
  const load = guest.loadDevices.bind(guest);
  guest.loadDevices = (state) => {
    guest.loadDevices = load;
    const garbled = Buffer.from(state);
    const at = garbled.indexOf('QEVM');
    return load(garbled.fill(0xff, at + 500, at + 30_000));
  };
  await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
  expect(secondary.phase).toBe('running');
  expect(secondary.number).toBe(CHECKPOINTS);
  await sleep(200);

  await killAndTakeOver(pair);
  expect(secondary.number).toBeGreaterThanOrEqual(CHECKPOINTS);
});
