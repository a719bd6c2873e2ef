import { type Status, statusSchema } from '@gannet/contract';
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
  const style = { columns: isTTY ? columns : 400, rows: Infinity, hasColour };
  return `${renderStatus(data, style).join('\n')}\n`;
}
