import { afterEach, it } from '@jest/globals';
import type { LabPair } from '@gannet/lab';
import { expectPrimaryWell } from '../guests.js';
import { automaticPair, expectProtected, until, whyOf } from './support.js';

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

it('a VM is protected without a command: at first, and when its secondary returns', async () => {
  pair = await automaticPair();
  await pair.bootPrimary();
  await pair.startPrimaryDaemon();
  const first = pair.primaryDaemon;
  await until('it to wait', async () => (await whyOf(first)) === 'no-secondary');
  await pair.startSecondary();
  await expectProtected(pair);

  await pair.secondaryDaemon.kill('SIGKILL');
  await pair.secondary.kill('SIGKILL');
  await until('the primary to be alone', () => first.eventsOf('alone').length > 0);
  await expectPrimaryWell(pair);
  await pair.replaceSecondary();
  await expectProtected(pair);
});
