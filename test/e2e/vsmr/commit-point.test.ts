/** A primary that dies after the commit point: its last checkpoint counts. */
import { afterEach, expect, test } from '@jest/globals';
import { expectSurvival, makeCheckpoints } from './survival.js';
import { VsmrPair } from '@gannet/lab';

let pair: VsmrPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

test('kill -9 after the commit point: the secondary goes on from that checkpoint', async () => {
  pair = await VsmrPair.create();
  const { primary, secondary } = pair.engines;
  await makeCheckpoints(pair, 1);

  // All of the checkpoint is there, and nothing of it has been applied to the devices and disks.
  const { guest } = pair.secondary;
  const load = guest.loadDevices.bind(guest);
  guest.loadDevices = async (state) => {
    await pair?.killPrimary();
    await pair?.linkLost();
    return load(state);
  };
  await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
  await expectSurvival(pair);
  expect(secondary.number).toBe(2);
});
