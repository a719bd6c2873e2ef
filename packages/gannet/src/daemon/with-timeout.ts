import { setTimeout as sleep } from 'node:timers/promises';
import { GannetError } from '@gannet/contract';

/** @throws GannetError GANNET_TIMEOUT that names what was waited for */
export async function withTimeout<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new GannetError(
      'GANNET_TIMEOUT',
      `timed out after ${ms} ms waiting for ${what}`,
      'Read the log of this daemon; check whether QEMU still runs.',
      'timeout',
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
