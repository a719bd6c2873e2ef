import type { QmpClient } from 'qemu-qmp-client';
import { hasTakenOver, type PeerStatus } from '@gannet/contract';
import type { History } from '../history.js';

/** The secondary runs the VM, and not this side. One whose QEMU has ended runs nothing. */
export function isSecondCopy({ role, state, vm }: PeerStatus): boolean {
  return role === 'secondary' && hasTakenOver(state) && vm !== 'lost';
}

interface GuestToStop {
  readonly qmp: QmpClient;
  /** For each answer. */
  readonly patienceMs: number;
  /** Cuts the links to the other host, out-of-band. */
  readonly cut: () => Promise<void>;
}

export interface SecondCopyOptions {
  readonly history: Pick<History, 'add'>;
  readonly qmp: () => QmpClient | undefined;
  readonly cut: () => Promise<void>;
  readonly patienceMs: number;
  readonly onTrouble: (error: unknown) => void;
}

/** Keeps the guest of a second copy stopped, as long as it is asked to. */
export class SecondCopyGuard {
  #underWay: Promise<void> | undefined;

  constructor(private readonly options: SecondCopyOptions) {}

  /** To be called at each heartbeat of the side that has taken over; one try at a time. */
  stopGuest(): void {
    const { history, cut, patienceMs, onTrouble } = this.options;
    const qmp = this.options.qmp();
    if (this.#underWay || qmp?.state !== 'open') return;
    this.#underWay = stopSecondCopy({ qmp, cut, patienceMs })
      .then((hasRun) => {
        if (hasRun) history.add('second-copy-stopped');
      })
      .catch(onTrouble)
      .finally(() => (this.#underWay = undefined));
  }
}

/**
 * Stops the guest of a second copy. QEMU may hang on its links to the secondary, and a checkpoint
 * that ends late may continue the guest: the first is freed, for the second this is called again
 * and again.
 *
 * @returns whether it ran
 * @throws QmpError if QEMU does not answer though its links are cut
 */
async function stopSecondCopy(guest: GuestToStop): Promise<boolean> {
  try {
    return await stop(guest);
  } catch {
    // If this fails, too, the second try tells why.
    await guest.cut().catch(() => undefined);
    return stop(guest);
  }
}

async function stop({ qmp, patienceMs: timeoutMs }: GuestToStop): Promise<boolean> {
  const { running } = await qmp.execute('query-status', undefined, { timeoutMs });
  if (running) await qmp.execute('stop', undefined, { timeoutMs });
  return running;
}
