// How a pair of daemons is configured.

import { type Config, parseConfig } from '@gannet/contract';
import type { HostName } from '../arbitration/network.js';

export const TERM_FILE = '/sim/web.term.json';

/** How the pair is configured. */
export interface Setting {
  /** The hosts that have a fence, and how it ends. */
  readonly fences?: Partial<Record<HostName, 'works' | 'fails'>>;
  readonly isAutomatic?: boolean;
  readonly waits?: boolean;
  /** The daemon is started with --overwrite. */
  readonly overwrites?: boolean;
}

export function configOf(
  name: HostName,
  { fences, isAutomatic = false, waits = false, overwrites = false }: Setting,
): Config {
  const fence =
    fences?.[name] === undefined ? '' : 'fence: {command: [/sim/fence], timeoutMs: 5000}';
  return parseConfig(
    `vm: web
qmp: unix:/sim/qmp
termFile: ${TERM_FILE}
control: /sim/control
disks: [{name: disk0, device: vb0, base: /sim/base}]
${fence}
primary:
  nbd: unix:/sim/nbd
  migrate: unix:/sim/migrate
  peer: unix:/sim/peer
  link: mirror
  checkpointPeriodMs: 2000
  onSecondaryLost: ${waits ? 'wait' : 'run-on'}
secondary:
  nbd: unix:/sim/nbd-b
  svm: unix:/sim/svm
  peer: unix:/sim/peer-b
  journal: /sim/journal
  overwrite: ${overwrites}
  failover: ${isAutomatic ? 'automatic' : 'manual'}
`,
    'web.yaml',
  );
}
