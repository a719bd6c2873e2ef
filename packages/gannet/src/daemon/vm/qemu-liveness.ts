import { type QmpClient, QmpTimeoutError } from 'qemu-qmp-client';
import { GannetError } from '@gannet/contract';

/** `unreachable`: there is no QMP connection, which says nothing about the process. */
export type QemuLiveness = 'responding' | 'hung' | 'unreachable';

export interface OwnQemu {
  readonly qmp: QmpClient | undefined;
  /** For each answer. */
  readonly patienceMs: number;
  /** Cuts its links to the other host, out-of-band. */
  readonly cut: () => Promise<void>;
}

/**
 * Asks this host's QEMU whether it responds. One that hangs does so, most likely, on the very links
 * to the other host that are to go: they are cut, and it is asked again.
 */
export async function livenessOf(qemu: OwnQemu): Promise<QemuLiveness> {
  const before = await ask(qemu);
  if (before !== 'hung') return before;
  // If this fails, the next answer tells.
  await qemu.cut().catch(() => undefined);
  return ask(qemu);
}

/** For a QEMU that does not respond though its links have been cut. */
export function stillHung(name: string, patienceMs: number): GannetError {
  return new GannetError(
    'GANNET_TIMEOUT',
    `the QEMU of ${name} did not answer query-status in ${patienceMs} ms, its links cut`,
    'Check what the QEMU process waits for. If it does not recover, end it, then run ' +
      `\`gannet failover ${name}\` on the secondary host.`,
    'timeout',
  );
}

async function ask({ qmp, patienceMs }: OwnQemu): Promise<QemuLiveness> {
  if (!qmp) return 'unreachable';
  try {
    await qmp.execute('query-status', undefined, { timeoutMs: patienceMs });
    return 'responding';
  } catch (error) {
    return error instanceof QmpTimeoutError ? 'hung' : 'unreachable';
  }
}
