/** Results as text: for the terminal, and in Markdown. */
import { isCounted, type Entry, type Point, type Result } from '../harness/result.js';

export function table(result: Result): string {
  const rows = rowsOf(result);
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  '),
  );
  return [`${result.name} ${result.title}`, ...lines, ...failuresOf(result)].join('\n');
}

export function markdownTable(result: Result): string {
  const [head = [], ...rows] = rowsOf(result);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = line(head.map((_, at) => (at === 0 ? '---' : '---:')));
  const failures = failuresOf(result).map((failure) => `- ${failure}`);
  return [
    line(head),
    rule,
    ...rows.map(line),
    ...(failures.length > 0 ? ['', ...failures] : []),
  ].join('\n');
}

function rowsOf({ points, contenders, baseline }: Result): string[][] {
  const names = contenders.map(({ name }) => name);
  return [
    ['', ...names],
    ...points.map((point) => [
      `${point.name} [${point.unit}]`,
      ...names.map((name) => cell(point, name, baseline)),
    ]),
  ];
}

/** Median, spread, and how many times the baseline. */
function cell({ entries }: Point, contender: string, baseline: string | undefined): string {
  const entry = entries.find((each) => each.contender === contender);
  if (!entry) return '';
  if (!isCounted(entry)) return 'failed';
  const base = entries.find((each) => each.contender === baseline);
  const ratio =
    isCounted(base) && base !== entry ? `, ${(entry.median / base.median).toFixed(2)}x` : '';
  return `${number(entry.median)} (${number(entry.min)}-${number(entry.max)})${ratio}`;
}

function failuresOf({ points }: Result): string[] {
  const reasons = new Map<string, string[]>();
  for (const { name, entries } of points) {
    for (const { contender, failures } of entries) {
      for (const why of failures) {
        const key = `${contender}: ${firstLine(why)}`;
        reasons.set(key, [...(reasons.get(key) ?? []), name]);
      }
    }
  }
  return [...reasons].map(([why, points]) => `failed at ${points.join('; ')}: ${why}`);
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return '?';
  if (value >= 100_000) return `${Math.round(value / 1000)}k`;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return Number(value.toPrecision(3)).toString();
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

export type { Entry };
