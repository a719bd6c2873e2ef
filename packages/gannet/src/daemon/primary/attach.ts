import { type DiskLink, leftovers, type PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { CopyWord } from '@gannet/contract';
import { type AttachStep, type Found, ON_ATTACH } from '../arbitration/on-attach.js';
import type { History } from '../history.js';

export interface Attached {
  readonly found: Found;
  readonly step: AttachStep;
}

/**
 * A daemon before this one may have protected this QEMU. What runs is adopted, and so is what is
 * left of a protection that has ended by itself. Elsewhere leftovers are rolled back, or each write
 * of the guest would keep waiting for a copy that nobody watches.
 *
 * @param word what this side said last of its copy
 * @throws DriverError, QmpError: QEMU could not be asked, and it is not known what it does
 */
export async function adoptOrRollBack(
  qmp: QmpClient,
  driver: PrimaryDriver,
  links: readonly DiskLink[],
  history: Pick<History, 'add'>,
  word: CopyWord,
): Promise<Attached> {
  const found = await look(qmp);
  const step = ON_ATTACH[word][found];
  if (found === 'protected' || found === 'broken') {
    await driver.adopt(links);
    return { found, step };
  }
  const names = await leftovers(qmp, links);
  if (names.length === 0) return { found, step };
  await driver.adopt(links);
  // Only in a new term may the guest go on without the replica: LetGo removes them then.
  if (step === 'let-go') return { found, step };
  await driver.rollback();
  history.add('taken-back', { reason: 'an earlier daemon ended while it protected', names });
  return { found, step };
}

async function look(qmp: QmpClient): Promise<Found> {
  const status = await qmp.execute('query-colo-status');
  if (status.mode === 'primary') return status.reason === 'error' ? 'broken' : 'protected';
  return status['last-mode'] === 'primary' ? 'ended' : 'idle';
}
