import path from 'node:path';
import type { About, Config } from '@gannet/contract';
import type { QmpClient } from 'qemu-qmp-client';
import { VERSION } from '../../version.js';

/** What a daemon says of itself, to people on both hosts. */
export function aboutDaemon(
  { fence, engine }: Pick<Config, 'fence' | 'engine'>,
  qmp: QmpClient | undefined,
  page: string | undefined,
): About {
  const program = fence?.command[0];
  // Its arguments may be secret.
  const fencing = program === undefined ? {} : { fence: path.basename(program).slice(0, 64) };
  const { major, minor, micro } = qmp?.version ?? {};
  const qemu = major === undefined ? undefined : `${major}.${minor}.${micro}`;
  return {
    version: VERSION,
    engine,
    hasFence: fence !== undefined,
    ...fencing,
    ...(qemu && { qemu }),
    ...(page && { page }),
  };
}
