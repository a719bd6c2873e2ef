import { formatBytes } from '@gannet/contract/format';
import { formatTable } from './terminal.js';

/** What is shown of a base that was recovered. */
export interface RecoveredBase {
  readonly disk: string;
  readonly base: string;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly image?: string;
}

/** The disks that there are now, and what to do with them. */
export function showRecovered(bases: readonly RecoveredBase[]): string {
  const rows = bases.map(({ disk, base, epoch, sizeBytes, image = 'raw' }): [string, string] => [
    disk,
    `${base}: ${image}, ${formatBytes(sizeBytes)}, as of epoch ${epoch}`,
  ]);
  const next = 'These are the disks of the VM. If no QEMU runs on them, start it from them.';
  return `${formatTable(rows)}${next}\n`;
}
