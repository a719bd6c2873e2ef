import { expect, test } from '@jest/globals';
import { forSeeds } from '@gannet/test-support/random.js';
import { devicesDifference } from '../src/devices-difference.js';
import { CheckpointDigest, StagedCheckpoint } from '../src/staged-checkpoint.js';

test('parts put on the last state give this one, whatever their sizes', async () => {
  await forSeeds(200, (random) => {
    const last = Buffer.alloc(random.below(5000), 1);
    const now = Buffer.alloc(random.below(5000), 1);
    for (let change = random.below(6); change > 0 && now.length > 0; change--) {
      now[random.below(now.length)] = random.below(256);
    }
    const staged = new StagedCheckpoint(last);
    let sent = 0;
    for (const part of devicesDifference(last, now)) {
      staged.addDevices(part);
      sent += part.data.length;
    }
    expect(Buffer.compare(staged.devices, now)).toBe(0);
    expect(sent).toBeLessThanOrEqual(Math.max(0, now.length - last.length) + 7 * 512);
    const digest = new CheckpointDigest();
    digest.addDevices(now);
    expect(staged.matches(digest.finish())).toBe(true);
    return Promise.resolve();
  });
});

test('a state much larger than a part', () => {
  const now = Buffer.alloc(2_500_000, 7);
  const parts = [...devicesDifference(new Uint8Array(), now)];
  expect(parts.length).toBe(3);
  const staged = new StagedCheckpoint();
  for (const part of parts) staged.addDevices(part);
  expect(Buffer.compare(staged.devices, now)).toBe(0);
});

test('the wrong last state is found out', () => {
  const [last, now] = [Buffer.alloc(2000, 1), Buffer.alloc(2000, 1)];
  now[5] = 2;
  const staged = new StagedCheckpoint(Buffer.alloc(2000, 3));
  for (const part of devicesDifference(last, now)) staged.addDevices(part);
  const digest = new CheckpointDigest();
  digest.addDevices(now);
  expect(staged.matches(digest.finish())).toBe(false);
});
