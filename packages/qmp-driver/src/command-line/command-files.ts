/** Files of the host that the secondary opens as they are: firmware, disks that never change. */
import { finding, type Finding } from '../inspect/finding.js';
import { optionText, type OptionValue } from './option-text.js';
import type { DiskReport, HostImage, VmReport } from '../inspect/vm-report.js';
import { freeName } from '../disk/graph.js';

/** What a node is made with, and its name. */
export interface FileNode {
  readonly args: readonly string[];
  readonly node: string;
}

/** @param taken takes the new node's name */
export function fileNode(
  { topNode, readOnly }: DiskReport,
  image: HostImage,
  taken: Set<string>,
): FileNode {
  const { format, driver, filename } = image;
  // Names that QEMU made up begin with #, and cannot be given.
  const node = freeName(topNode.startsWith('#') ? 'file0' : topNode, taken);
  taken.add(node);
  const file: [string, OptionValue][] =
    format === driver
      ? [['filename', filename]]
      : [
          ['file.driver', driver],
          ['file.filename', filename],
        ];
  const args = [
    '-blockdev',
    optionText([['driver', format], ['node-name', node], ['read-only', readOnly], ...file]),
  ];
  return { args, node };
}

export function hostFile(what: string, file: OptionValue): Finding {
  const message = `the ${what} is a file of the host: ${String(file)}`;
  const remedy = 'Copy it to the same place on the secondary host.';
  return finding('info', 'host-file-needed', message, remedy);
}

/**
 * Firmware, and its variables: what they hold is memory of the guest, which comes with its state.
 * The side that has it writes it to its file.
 */
export function flashArguments(
  { machine, disks }: VmReport,
  taken: Set<string>,
  findings: Finding[],
): { args: string[]; options: [string, OptionValue][] } {
  const options: [string, OptionValue][] = [];
  const args = Object.entries(machine.flash).flatMap(([unit, drive]) => {
    const disk = disks.find(({ device, names }) => device === drive || names.includes(drive));
    if (disk?.image === undefined) {
      const message = `the flash memory ${unit} uses ${drive}, which is no plain file`;
      const remedy =
        'Add it to the line by hand: -blockdev, and its node as an option of -machine.';
      findings.push(finding('error', 'device-not-derived', message, remedy, unit));
      return [];
    }
    const file = fileNode(disk, disk.image, taken);
    options.push([unit, file.node]);
    findings.push(hostFile(`flash memory ${unit}`, disk.image.filename));
    return file.args;
  });
  return { args, options };
}
