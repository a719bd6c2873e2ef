import type { MethodResult, Status } from '@gannet/contract';
import { formatMs } from '@gannet/contract/format';
import { VERSION } from '../../version.js';
import { formatTable } from '../terminal.js';
import { renderStatus } from './render.js';

/** A status as text. Of one that does not fit, the keys are listed. */
export async function showStatus(result: Status): Promise<string> {
  return (await rendered(result)) ?? listed(result);
}

/**
 * Checked only if it comes from another version: the schemas take long to load. Two builds of one
 * version may differ all the same, as between two releases: what can't be rendered is checked, too.
 */
async function rendered(result: Status): Promise<string | undefined> {
  if (result.about?.version === VERSION) {
    try {
      return render(result);
    } catch {
      // It has other keys than it should.
    }
  }
  const { statusSchema } = await import('@gannet/contract');
  const { data } = statusSchema.safeParse(result);
  return data && render(data);
}

function render(status: Status): string {
  const { isTTY, columns } = process.stdout;
  const hasColour = isTTY && process.env['NO_COLOR'] === undefined;
  const style = { columns: isTTY ? columns : Infinity, rows: Infinity, hasColour };
  return `${renderStatus(status, style).join('\n')}\n`;
}

function listed(result: Status): string {
  const rows = Object.entries(result).map(([key, value]): [string, string] => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return formatTable(rows);
}

/** How a failover on the secondary host went; on the primary host, the status that it leads to. */
export function showFailover(result: MethodResult<'failover'>): string | Promise<string> {
  if (result.takenOverMs === undefined) return showStatus(result);
  return formatTable([
    ['continues from', `the last checkpoint, with epoch ${result.epoch}`],
    ['evidence', result.evidence],
    ['VM running', `after ${formatMs(result.takenOverMs)}`],
    ['on stable storage', `after ${formatMs(result.durableMs)}`],
    ['on local disks', `after ${formatMs(result.movedMs)}`],
  ]);
}
