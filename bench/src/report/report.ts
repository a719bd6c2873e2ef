/** Writes the generated part of docs/explanation/performance.md, and its charts, from results. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chart } from './chart.js';
import type { HostFacts } from '../harness/host.js';
import type { Point, Result } from '../harness/result.js';
import { fill } from './page.js';
import { markdownTable } from './table.js';
import { standings } from './targets.js';

/** The six services have a page of their own. */
const PAGES: readonly { readonly file: string; readonly holds: (benchmark: string) => boolean }[] =
  [
    { file: 'performance.md', holds: (name) => !name.startsWith('B9') },
    { file: 'services.md', holds: (name) => name.startsWith('B9') },
  ];

/** @throws BenchError when a page has no place for its results */
export async function render(results: readonly Result[], docs: string): Promise<void> {
  const charts = path.join(docs, 'charts');
  await mkdir(charts, { recursive: true });
  for (const result of results) {
    const { points } = result;
    const charted = isOfServices(result) ? { ...result, points: points.filter(isRate) } : result;
    await writeFile(path.join(charts, chartOf(result)), chart(charted));
  }
  for (const { file, holds } of PAGES) {
    const shown = results.filter(({ name }) => holds(name));
    if (shown.length > 0) await fill(path.join(docs, file), generated(shown, holds));
  }
}

function generated(results: readonly Result[], holds: (benchmark: string) => boolean): string {
  return [reach(results, holds), ...results.map(section), machines(results)].join('\n\n');
}

function reach(results: readonly Result[], holds: (benchmark: string) => boolean): string {
  const rows = standings(results)
    .filter(({ benchmark }) => holds(benchmark))
    .map(
      ({ what, must, aim, measured, verdict }) =>
        `| ${what} | ${must} | ${aim} | ${measured} | ${verdict} |`,
    );
  return [
    '## Targets',
    '',
    'The worst point of each, by medians; brackets say which point it is. If a link other than ' +
      'the default (replication) is worst, the value of the default follows.',
    '',
    '| | must | aim | measured | |',
    '| --- | ---: | ---: | --- | --- |',
    ...rows,
  ].join('\n');
}

function isOfServices({ name }: Result): boolean {
  return name.startsWith('B9');
}

/** The name of a point that stands beside a rate begins with that point's name and a colon. */
function isRate({ name }: Point): boolean {
  return !name.includes(': ');
}

/** Rates, and then what each service used. */
function tables(result: Result): string {
  if (!isOfServices(result)) return markdownTable(result);
  const rates = result.points.filter(isRate);
  return [
    markdownTable({ ...result, points: rates }),
    'What each service used meanwhile, on each host; the pauses are all of all rounds:',
    markdownTable({ ...result, baseline: undefined, points: result.points.filter(notRate) }),
  ].join('\n\n');
}

function notRate(point: Point): boolean {
  return !isRate(point);
}

function section(result: Result): string {
  const { name, title, about, contenders, notes, rounds, measuredAt } = result;
  return [
    `## ${name}: ${title}`,
    about,
    `![${name}: ${title}](charts/${chartOf(result)})`,
    contenders.map((each) => `- **${each.name}**: ${each.setup}.`).join('\n'),
    `Median (least-most) of ${rounds} rounds${
      result.baseline === undefined ? '' : `, and times ${result.baseline}`
    }; measured on ${measuredAt.slice(0, 10)}.`,
    tables(result),
    ...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join('\n')] : []),
  ].join('\n\n');
}

/** One table where all were measured on one machine, with the same programs. */
function machines(results: readonly Result[]): string {
  const groups = new Map<string, string[]>();
  for (const { name, host } of results) {
    const key = JSON.stringify(host);
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  const tables = [...groups].map(([key, names]) => {
    const host = JSON.parse(key) as HostFacts;
    const rows: readonly (readonly [string, string])[] = [
      ['processor', `${host.cores} x ${host.cpu}, ${host.memoryGib} GiB of memory`],
      ['disk', host.disk],
      ['kernel', host.kernel],
      ['QEMU', host.qemu],
      ['fio, nbdkit', `${host.fio}, ${host.nbdkit}`],
      ['Node.js', host.node],
      ['Gannet', host.gannet],
    ];
    const head = `| ${names.join(', ')} | |`;
    return [head, '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');
  });
  return ['## The machine', ...tables].join('\n\n');
}

function chartOf({ name }: Result): string {
  return `${name.toLowerCase()}.svg`;
}
