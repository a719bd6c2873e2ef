import type { About, Config } from '@gannet/contract';
import type { QmpClient } from 'qemu-qmp-client';
import { VERSION } from '../../version.js';

/** What a daemon says of itself, to people on both hosts. */
export function aboutDaemon(
  { fence, engine }: Pick<Config, 'fence' | 'engine'>,
  qmp: QmpClient | undefined,
  page: string | undefined,
): About {
  const hasFence = fence !== undefined;
  const { major, minor, micro } = qmp?.version ?? {};
  const qemu = major === undefined ? undefined : `${major}.${minor}.${micro}`;
  return { version: VERSION, engine, hasFence, ...(qemu && { qemu }), ...(page && { page }) };
}
