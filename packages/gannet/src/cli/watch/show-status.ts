import {
  failoverReportSchema,
  type MethodResult,
  type Status,
  statusSchema,
} from '@gannet/contract';
import { formatMs } from '@gannet/contract/format';
import { formatTable } from '../terminal.js';
import { renderStatus } from './render.js';

/** A status as text. If the daemon's version differs and it does not fit, its keys are listed. */
export function showStatus(result: Status): string {
  const { data } = statusSchema.safeParse(result);
  if (!data) {
    const rows = Object.entries(result).map(([key, value]): [string, string] => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    return formatTable(rows);
  }
  const { isTTY, columns } = process.stdout;
  const hasColour = isTTY && process.env['NO_COLOR'] === undefined;
  const style = { columns: isTTY ? columns : Infinity, rows: Infinity, hasColour };
  return `${renderStatus(data, style).join('\n')}\n`;
}

/** How a failover on the secondary host went; on the primary host, the status that it leads to. */
export function showFailover(result: MethodResult<'failover'>): string {
  const { data } = failoverReportSchema.safeParse(result);
  if (!data) return showStatus(result as Status);
  return formatTable([
    ['continues from', `epoch ${data.epoch}`],
    ['evidence', data.evidence],
    ['VM running', `after ${formatMs(data.takenOverMs)}`],
    ['on stable storage', `after ${formatMs(data.durableMs)}`],
    ['on local disks', `after ${formatMs(data.movedMs)}`],
  ]);
}
