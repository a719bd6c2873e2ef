import type { QmpClient } from 'qemu-qmp-client';
import type { Bounds } from '../deadline.js';

/**
 * Has QEMU carry out a command while the guest stands still and none of its requests is under way: `stop` drains. All
 * three go out before any answer, so that the guest stands for their time alone, and does not depend on us to be
 * continued; but where there is something to wait for, `settled`, before it is. A guest that stands already is left so.
 */
export async function withGuestPaused(
  qmp: QmpClient,
  bounds: Bounds,
  send: () => Promise<unknown>,
  settled?: () => Promise<void>,
): Promise<void> {
  const { running } = await qmp.execute('query-status', {}, bounds);
  const stopped = running ? qmp.execute('stop', {}, bounds) : undefined;
  const sent = settled === undefined ? send() : send().then(settled);
  const both = Promise.allSettled([sent, stopped]);
  if (settled !== undefined) await both;
  // Also when the caller wants nothing any more.
  const { timeoutMs } = bounds;
  const continued = running ? qmp.execute('cont', {}, { timeoutMs }) : undefined;
  const last = Promise.allSettled([continued]);
  for (const one of [...(await both), ...(await last)]) {
    if (one.status === 'rejected') throw one.reason;
  }
}
