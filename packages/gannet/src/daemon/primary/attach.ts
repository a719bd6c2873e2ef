import {
  type DiskLink,
  linkedInQemu,
  PrimaryDriver,
  type PrimaryOptions,
} from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import {
  type CopyWord,
  describeError,
  type Engine,
  GannetError,
  type PrimaryConfig,
} from '@gannet/contract';
import { cardsOf } from '../../inspect/disk-links.js';
import { type AttachStep, type Found, ON_ATTACH } from '../arbitration/on-attach.js';
import type { History } from '../history.js';
import { reportTrouble } from '../role-context.js';
import { isHaltMarked } from '../vsmr/held-guest.js';
import { type EngineHandlers, primaryEngineOf } from '../vsmr/primary-vsmr.js';

export interface Attached {
  readonly found: Found;
  readonly step: AttachStep;
}

/** The driver of a QEMU, with the engine of the configuration. */
export function driverOn(
  qmp: QmpClient,
  config: PrimaryConfig,
  handlers: EngineHandlers & Pick<PrimaryOptions, 'onLinkFailure' | 'onDiskFailure'>,
): PrimaryDriver {
  const engine = primaryEngineOf(qmp, config, handlers);
  return new PrimaryDriver(qmp, { ...handlers, engine, network: cardsOf(config, 'primary') });
}

/** Goes on with the checkpoints of the daemon before this one, or calls `onFailed` with why not. */
export function goOn(
  driver: PrimaryDriver,
  { primary, peer }: PrimaryConfig,
  onFailed: (reason: string) => void,
): void {
  const bounds = { periodMs: primary.checkpointPeriodMs, patienceMs: peer.highMs };
  driver.goOn(bounds).catch((error: unknown) => onFailed(describeError(error).message));
}

/**
 * A daemon before this one may have protected this QEMU. What runs is adopted, with the disks and
 * names that it has in QEMU: the configuration may have changed since. So is what is left of a
 * protection that has ended by itself. Elsewhere leftovers are rolled back, or each write of the
 * guest would keep waiting for a copy that nobody watches.
 *
 * @param known what this side said last of its copy, and what makes its checkpoints
 * @throws DriverError, QmpError: QEMU could not be asked, and it is not known what it does
 */
export async function adoptOrRollBack(
  qmp: QmpClient,
  driver: PrimaryDriver,
  links: readonly DiskLink[],
  history: Pick<History, 'add'>,
  { word, engine }: { readonly word: CopyWord; readonly engine: Engine },
): Promise<Attached> {
  const linked = await linkedInQemu(qmp, links);
  const found =
    engine === 'colo'
      ? await look(qmp, linked.length)
      : await lookAtLinks(qmp, linked.length, word);
  const step = ON_ATTACH[word][found];
  const disks = linked.map(({ disk }) => disk);
  if (found === 'protected' || found === 'broken') {
    // One whose link is gone is watched all the same: that it has none is a loss.
    const missing = links.filter(({ device }) => disks.every((disk) => disk.device !== device));
    await driver.adopt([...disks, ...missing]);
    const changed = changesSince(disks, links, missing);
    if (changed.length > 0) reportTrouble(history, otherDisks(changed));
    return { found, step };
  }
  if (linked.length === 0) return { found, step };
  await driver.adopt(disks);
  // Only in a new term may the guest go on without the replica: LetGo removes them then.
  if (step === 'let-go') return { found, step };
  await driver.rollback();
  const names = linked.flatMap((one) => one.names);
  history.add('taken-back', { reason: 'an earlier daemon ended while it protected', names });
  return { found, step };
}

/** A QEMU that has links is not new, though it may have forgotten COLO (leaveColo). */
async function look(qmp: QmpClient, links: number): Promise<Found> {
  const status = await qmp.execute('query-colo-status');
  if (status.mode === 'primary') return status.reason === 'error' ? 'broken' : 'protected';
  return status['last-mode'] === 'primary' || links > 0 ? 'ended' : 'idle';
}

/**
 * An engine of the daemon has ended with the one before, and nothing makes checkpoints now. But the
 * secondary gets all writes and has the last checkpoint, so that another engine can go on; or it is
 * to take over, from a guest that was stopped for that. A copy that was never finished, by its
 * word, has no checkpoint that counts.
 */
async function lookAtLinks(qmp: QmpClient, links: number, word: CopyWord): Promise<Found> {
  if (links === 0) return 'idle';
  if (word === 'alone' || word === 'taken-over') return 'ended';
  return (await isHaltMarked(qmp)) ? 'broken' : 'protected';
}

/** How the configuration differs from what is protected. */
function changesSince(
  disks: readonly DiskLink[],
  links: readonly DiskLink[],
  missing: readonly DiskLink[],
): string[] {
  const others = disks.flatMap(({ device, id, link }) => {
    const now = links.find((one) => one.device === device);
    if (now?.id === id && now.link === link) return [];
    const is = `${device} is protected as ${id}, link ${link}`;
    return now ? `${is}, not as ${now.id}, link ${now.link}` : `${is}, and not configured`;
  });
  return [...others, ...missing.map(({ device }) => `${device} is not protected`)];
}

function otherDisks(changes: readonly string[]): GannetError {
  return new GannetError(
    'GANNET_CONFIG',
    `the disks have changed since the VM was protected: ${changes.join('; ')}`,
    'The protection goes on as it is. To use the new configuration, run `gannet detach` on the ' +
      "primary host, restart the secondary's daemon and QEMU, and protect again.",
  );
}
