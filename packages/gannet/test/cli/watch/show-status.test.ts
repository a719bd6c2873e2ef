import { expect, test } from '@jest/globals';
import type { Status } from '@gannet/contract';
import { showStatus } from '../../../src/cli/watch/show-status.js';
import { VERSION } from '../../../src/version.js';
import { PRIMARY } from '../../support/statuses.js';

const OURS: Status = { ...PRIMARY, about: { version: VERSION, hasFence: false } };
/** Such as an earlier or a later build has it. */
const OTHER = { ...OURS, checkpointPeriodMs: undefined, peer: undefined };

test('a status is rendered', async () => {
  expect(await showStatus(OURS)).toContain('Protected');
});

test.each([
  ['another version', '0.0.1'],
  ['a build of the same version with other keys', VERSION],
])('of %s the keys are listed', async (_what, version) => {
  const other = { ...OTHER, about: { ...OURS.about, version } } as unknown as Status;
  const text = await showStatus(other);
  expect(text).toMatch(/^ *state +protected$/m);
  expect(text).toMatch(/^ *primaryVm +ready$/m);
});
