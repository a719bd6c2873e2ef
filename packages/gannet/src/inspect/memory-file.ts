/** The file that a VM's memory is in, where checkpoints are made without COLO. */
import { type Finding, finding } from '@gannet/qmp-driver';
import type { SideReport } from './side-report.js';

/** On one host, one file of memory would be that of both VMs. */
export function memoryFileFindings(primary: SideReport, secondary: SideReport): Finding[] {
  const file = memoryFileOf(primary);
  const isOne = file !== undefined && file === memoryFileOf(secondary);
  if (!isOne || primary.hostname !== secondary.hostname) return [];
  const message = `both VMs run on ${primary.hostname} with one memory file, ${file}`;
  const remedy = 'End the secondary VM at once, and start it with a mem-path of its own.';
  return [finding('error', 'ram-shared-twice', message, remedy)];
}

/** A shared file; undefined if QEMU has the memory for itself. */
export function memoryFileOf({ report }: SideReport): string | undefined {
  const backend = report?.objects.find(({ id }) => id === report.memory.backend);
  const file = backend?.properties['mem-path'];
  return typeof file === 'string' && backend?.properties['share'] === true ? file : undefined;
}
