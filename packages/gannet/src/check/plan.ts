/** What the two configurations say of the disks and how they are linked. */
import type { DiskLink } from '@gannet/qmp-driver';
import type { Address, Config, PrimaryConfig } from '../config.js';

/** How the primary reaches the replicas. */
export function linksOf({ disks, primary }: PrimaryConfig): readonly DiskLink[] {
  return disks.map(({ name, device }) => {
    const link = exportName(disks, name, 'pvm');
    return {
      id: name,
      device,
      link: primary.link,
      server: primary.nbd,
      export: link,
      seedExports: { begin: `${link}-seed`, resume: `${link}-resume`, link: `${link}-link` },
    };
  });
}

/** The replicator names its exports so: a VM with one disk has no use for the disk's name. */
export function exportName(disks: Config['disks'], name: string, end: 'pvm' | 'svm'): string {
  return disks.length === 1 ? end : `${name}-${end}`;
}

export function addressText(address: Address): string {
  return address.type === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
}
