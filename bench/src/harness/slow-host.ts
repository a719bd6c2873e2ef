import { type DiskLimits, SlowHost } from 'gannet/lab';
import type { Scope } from './scope.js';

/** What a default cloud volume gives. */
export const SLOW_DISK: DiskLimits = { iops: 3000, bytesPerSec: 125 * 1024 * 1024 };

/** A host with a slow disk, for as long as the benchmark takes. */
export async function slowHost(scope: Scope, limits: DiskLimits): Promise<SlowHost> {
  const host = await SlowHost.create(limits);
  scope.defer(() => host.dispose());
  return host;
}
