import type { QmpClient } from 'qemu-qmp-client';
import type { Bounds } from '../deadline.js';

/**
 * Sends a command while the guest is paused and none of its requests is under way: `stop` drains
 * the disks. `stop`, the command and `cont` are all sent before the first answer, so the pause is
 * short, and the guest continues even if this process dies. With `settled`, `cont` waits until it
 * resolves. A guest that is paused already stays so.
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
  // Without the caller's signal: the guest has to continue in any case.
  const { timeoutMs } = bounds;
  const continued = running ? qmp.execute('cont', {}, { timeoutMs }) : undefined;
  const last = Promise.allSettled([continued]);
  for (const one of [...(await both), ...(await last)]) {
    if (one.status === 'rejected') throw one.reason;
  }
}
