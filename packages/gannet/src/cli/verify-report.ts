import type { VerifyReport } from '@gannet/contract';
import { formatBytes, formatMs } from '@gannet/contract/format';
import { formatTable } from './terminal.js';

/** What came of a comparison, and what to do. */
export function showVerify(
  vm: string,
  { places, isWhole, comparedBytes, ms, wrongBytes, repairedBytes, busyBytes }: VerifyReport,
): string {
  const lines = [
    `${formatBytes(comparedBytes)} compared in ${formatMs(ms)}: ` +
      (wrongBytes === 0
        ? `${isWhole ? '' : 'so far '}the replica equals the primary's disks`
        : `${wrongBytes} bytes of the replica were wrong, ${repairedBytes} of them are repaired`),
  ];
  if (busyBytes > 0) {
    lines.push(`${formatBytes(busyBytes)} changed too often meanwhile to be compared`);
  }
  if (!isWhole) lines.push('It ended before everything was compared.');
  if (places.length > 0) {
    const rows = places.map(({ disk, offset, length, isRepaired }): [string, string] => [
      disk,
      `byte ${offset}, ${length} bytes${isRepaired ? ', repaired' : ''}`,
    ]);
    lines.push('', formatTable(rows).trimEnd());
    const shown = places.reduce((sum, { length }) => sum + length, 0);
    if (shown < wrongBytes) lines.push(`and ${wrongBytes - shown} bytes more`);
  }
  if (wrongBytes > 0) {
    lines.push('', 'Check the storage of the replica on the secondary host.');
  }
  if (wrongBytes > repairedBytes) {
    lines.push(`To rewrite what is wrong from the primary: gannet verify ${vm} --repair`);
  }
  return `${lines.join('\n')}\n`;
}
