/** The VMs of a host as lines of plain ASCII. */
import { formatAge, formatBytes } from '@gannet/contract/format';
import { placesOf } from '@gannet/contract/paths';
import { wrap } from '../terminal.js';
import type { HostVm } from '../../host/host-list.js';
import { LEVEL_MARKS, plain } from './render.js';

export interface ListStyle {
  readonly columns: number;
  readonly hasColour: boolean;
}

const HEAD = ['', 'VM', 'ROLE', 'STATE', 'VERDICT', 'PEER', 'EPOCH AGE', 'BACKLOG'] as const;
const GAP = '  ';
const TEXT_AT = 2;

/** What stands in place of a state when the daemon's is not known. */
const ERROR_STATES: Readonly<Record<string, string>> = {
  GANNET_CONTROL_UNREACHABLE: 'no daemon',
  GANNET_TIMEOUT: 'no answer',
  GANNET_CONFIG: 'bad config',
  GANNET_USAGE: 'bad config',
};

/** A table, then what is the matter with each VM that is not well, and what to do about it. */
export function renderList(
  vms: readonly HostVm[],
  host: string,
  { columns, hasColour }: ListStyle,
): string[] {
  if (vms.length === 0) {
    const folder = placesOf().configDir;
    return wrap(plain(`No VM is configured on ${host}: ${folder} has no VM.yaml.`), columns);
  }
  const rows = vms.map(cellsOf);
  const widths = HEAD.map((head, at) =>
    Math.max(head.length, ...rows.map((cells) => cells[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(GAP)
      .trimEnd()
      .slice(0, columns);
  const paint = (text: string, vm: HostVm): string =>
    hasColour ? `\u001b[${levelOf(vm)[1]}m${text}\u001b[0m` : text;
  const troubles = vms.flatMap((vm) =>
    troubleOf(vm).flatMap((text) => wrap(text, columns, TEXT_AT)),
  );
  return [
    line(HEAD),
    ...vms.map((vm, at) => paint(line(rows[at] ?? []), vm)),
    ...(troubles.length > 0 ? ['', ...troubles] : []),
  ];
}

function levelOf(vm: HostVm): readonly [mark: string, colour: number] {
  return LEVEL_MARKS[vm.error === null ? (vm.health?.level ?? 'bad') : 'bad'];
}

function cellsOf(vm: HostVm): string[] {
  const [mark] = levelOf(vm);
  const cells =
    vm.error !== null
      ? ['', ERROR_STATES[vm.error.code] ?? 'error']
      : [
          ...[vm.role ?? '', vm.state ?? '', vm.health?.code ?? ''],
          vm.peer ? `${vm.peer.host ?? ''} (${vm.peer.pulse})`.trim() : '',
          vm.epochAgeMs === null ? '' : formatAge(vm.epochAgeMs),
          vm.backlogBytes === null ? '' : formatBytes(vm.backlogBytes),
        ];
  const all = [mark, vm.vm, ...cells];
  return HEAD.map((_, at) => plain(all[at] ?? '') || '-');
}

function troubleOf(vm: HostVm): string[] {
  if (vm.isWell) return [];
  const { headline, remedy } =
    vm.error === null
      ? (vm.health ?? { headline: 'the daemon gives no verdict', remedy: '' })
      : { headline: vm.error.message, remedy: vm.error.remedy };
  const lines = [`${vm.vm}: ${headline}`, ...(remedy === '' ? [] : [' '.repeat(TEXT_AT) + remedy])];
  return lines.map(plain);
}
