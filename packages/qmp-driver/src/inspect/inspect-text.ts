/** What only the human monitor tells. */
import type { NetdevReport } from './vm-report.js';

/**
 * `info network`: hubs first, with a line a port below them, then a line for each other network
 * card, its back end indented below it, or back ends alone.
 */
export function netdevsOf(text: unknown): NetdevReport[] {
  let hub = '';
  return linesOf(text).flatMap((line): NetdevReport[] => {
    hub = /^hub (\d+)$/.exec(line)?.[1] ?? hub;
    const [, port, id, type, settings = ''] =
      /^[ \\]*(?:([^:]+): )?([^:]+): index=\d+,type=([^,]+),?(.*)$/.exec(line) ?? [];
    if (id === undefined || type === undefined) return [];
    if (port === undefined) return type === 'nic' ? [] : [{ id, type, settings }];
    if (type !== 'nic') return [{ id, type, settings, hub: { id: hub, port } }];
    return [{ id: port, type: 'hubport', settings: `hubid=${hub}` }];
  });
}

/**
 * `info numa`, where memory was divided.
 * @param isGrowing whether it has slots: QEMU makes a node of its own for them
 */
export function numaOf(text: unknown, isGrowing: boolean): string | undefined {
  const [first = '', ...lines] = linesOf(text);
  const nodes = Number(/^(\d+) nodes$/.exec(first)?.[1] ?? 0);
  if (nodes < (isGrowing ? 2 : 1)) return undefined;
  return lines.filter((line) => / (cpus|size): /.test(line)).join('; ');
}

/** `info ramblock`: name, page size, offset, used and total bytes. */
export function ramBlocksOf(text: unknown): Record<string, number> {
  const blocks = linesOf(text).flatMap((line) => {
    const [, name, total] =
      /^\s*(\S.*?)\s+\d+ [KMG]iB(?:\s+0x[\da-f]+){2}\s+0x([\da-f]+)/i.exec(line) ?? [];
    return name === undefined || total === undefined ? [] : [[name, parseInt(total, 16)]];
  });
  return Object.fromEntries(blocks) as Record<string, number>;
}

function linesOf(text: unknown): string[] {
  return typeof text === 'string' ? text.split(/\r?\n/) : [];
}
