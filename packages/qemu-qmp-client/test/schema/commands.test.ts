import { expect, it } from '@jest/globals';
import type { QmpClient } from '../../src/index.js';

/** The compiler is the test: each line below an @ts-expect-error has to be a mistake. */
async function mistakes(client: QmpClient): Promise<void> {
  const { status } = await client.execute('query-status');
  // @ts-expect-error: no run state
  if (status === 'walking') return;
  // @ts-expect-error: QEMU 10.0 does not send it any more
  if ((await client.execute('query-status')).singlestep) return;
  // @ts-expect-error: a job's id is text
  await client.execute('block-job-cancel', { device: 1 });
  // @ts-expect-error: the name is missing
  await client.execute('blockdev-del', {});
  // @ts-expect-error: it takes no arguments
  await client.execute('stop', { force: true });
  // @ts-expect-error: the path of a socket is text
  await client.execute('blockdev-add', { driver: 'nbd', server: { type: 'unix', path: 1 } });
  // @ts-expect-error: an option that raw does not have
  await client.execute('blockdev-add', { driver: 'raw', file: 'file0', color: 'red' });
  const capability = 'teleport';
  // @ts-expect-error: a capability that neither release has
  await client.execute('migrate-set-capabilities', { capabilities: [{ capability, state: true }] });
  // @ts-expect-error: no such command
  await client.execute('make-coffee');
}

it('takes what both releases take, and gives what both give', () => {
  expect(mistakes).toBeInstanceOf(Function);
});
