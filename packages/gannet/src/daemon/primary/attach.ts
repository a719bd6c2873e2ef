import { type DiskLink, leftovers, type PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { History } from '../history.js';

/**
 * What a daemon finds in a QEMU: COLO that runs, COLO that has failed and waits for a failover, or
 * none.
 */
export type Found = 'protected' | 'broken' | 'idle';

/**
 * A daemon before this one may have protected this QEMU. A protection that runs is adopted. Where
 * no COLO runs, leftovers of one are rolled back, or each write of the guest would keep waiting for
 * a copy that nobody watches.
 *
 * @throws DriverError, QmpError: QEMU could not be asked, and it is not known what it does
 */
export async function adoptOrRollBack(
  qmp: QmpClient,
  driver: PrimaryDriver,
  links: readonly DiskLink[],
  history: Pick<History, 'add'>,
): Promise<Found> {
  const { mode, reason } = await qmp.execute('query-colo-status');
  if (mode === 'primary') {
    await driver.adopt(links);
    return reason === 'error' ? 'broken' : 'protected';
  }
  const names = await leftovers(qmp, links);
  if (names.length > 0) {
    await driver.adopt(links);
    await driver.rollback();
    history.add('taken-back', { reason: 'an earlier daemon ended while it protected', names });
  }
  return 'idle';
}
