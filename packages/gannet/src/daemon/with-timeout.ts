import { setTimeout as sleep } from 'node:timers/promises';
import { GannetError } from '@gannet/contract';

/** @throws GannetError TIMEOUT that names what was waited for */
export async function withTimeout<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new GannetError(
      'TIMEOUT',
      `waited ${ms} ms in vain for ${what}`,
      'See the log of the daemon, and QEMU.',
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
