import type { MethodResult, Status } from '@gannet/contract';
import { formatMs } from '@gannet/contract/format';
import { VERSION } from '../../version.js';
import { formatTable } from '../terminal.js';
import { renderStatus } from './render.js';

/** A status as text. If the daemon's version differs and it does not fit, its keys are listed. */
export async function showStatus(result: Status): Promise<string> {
  const data = await fittingStatus(result);
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

/** Checked only if it comes from another version: the schemas take long to load. */
async function fittingStatus(result: Partial<Status>): Promise<Status | undefined> {
  if (result.about?.version === VERSION) return result as Status;
  const { statusSchema } = await import('@gannet/contract');
  return statusSchema.safeParse(result).data;
}

/** How a failover on the secondary host went; on the primary host, the status that it leads to. */
export function showFailover(result: MethodResult<'failover'>): string | Promise<string> {
  if (result.takenOverMs === undefined) return showStatus(result);
  return formatTable([
    ['continues from', `epoch ${result.epoch}`],
    ['evidence', result.evidence],
    ['VM running', `after ${formatMs(result.takenOverMs)}`],
    ['on stable storage', `after ${formatMs(result.durableMs)}`],
    ['on local disks', `after ${formatMs(result.movedMs)}`],
  ]);
}
