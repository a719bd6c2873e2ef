import { type DiskLink, leftovers, type PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { History } from '../history.js';

/**
 * Of a QEMU in which no COLO runs: a daemon before this one may have ended while it protected. What it has left is taken
 * back, or each write of the guest would go on waiting for a copy that nobody watches.
 */
export async function rollbackLeftovers(
  qmp: QmpClient,
  driver: PrimaryDriver,
  links: readonly DiskLink[],
  history: History,
): Promise<void> {
  const names = await leftovers(qmp, links);
  if (names.length === 0) return;
  await driver.adopt(links);
  await driver.rollback();
  history.add('taken-back', { reason: 'an earlier daemon ended while it protected', names });
}
