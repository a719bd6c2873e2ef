import type { NbdExport } from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { openLink } from './primary-session.js';
import { openSecondary } from './secondary-session.js';
import { seedExportsOf } from './seed-session.js';
import type { SessionHost } from './session-host.js';

const FEATURES = {
  readOnly: false,
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  cache: true,
  multiConn: true,
} as const;
const ONE_PRIMARY = { ...FEATURES, multiConn: false } as const;
const BLOCK_SIZE = { minimum: 1, preferred: 4096, maximum: 32 * 1024 * 1024 } as const;

/**
 * All exports of a replica: `pvm` and `svm`, or `<disk>-pvm` and `<disk>-svm` if the VM has several
 * disks, and those of the first copy (see seed-session.ts).
 */
export function exportsOf(host: SessionHost, disks: readonly Disk[]): NbdExport[] {
  return disks.flatMap((disk) => {
    const prefix = disks.length === 1 ? '' : `${disk.name}-`;
    const common = { sizeBytes: disk.sizeBytes, blockSize: BLOCK_SIZE };
    const primary = { ...common, features: ONE_PRIMARY, name: `${prefix}pvm` };
    return [
      {
        ...primary,
        description: `${host.vm}, disk ${disk.name}: the primary writes here`,
        open: () => openLink(host, disk),
      },
      ...seedExportsOf(host, disk, primary),
      {
        ...common,
        features: FEATURES,
        name: `${prefix}svm`,
        description: `${host.vm}, disk ${disk.name}: the disk of the secondary VM`,
        open: (peer) => openSecondary(host, disk, peer),
      },
    ];
  });
}
