import { type Status, statusSchema } from '@gannet/contract';
import { formatTable } from '../terminal.js';
import { renderStatus } from './render.js';

/** For people. The status of a daemon of another version may not fit: then its keys are listed. */
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
