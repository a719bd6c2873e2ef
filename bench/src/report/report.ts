/** Writes the generated part of docs/explanation/performance.md, and its charts, from results. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chart } from './chart.js';
import type { HostFacts } from '../harness/host.js';
import type { Result } from '../harness/result.js';
import { markdownTable } from './table.js';
import { standings } from './targets.js';
import { BenchError } from '../harness/scope.js';

const BEGIN = '<!-- bench: generated from here -->';
const END = '<!-- bench: generated to here -->';

/** @throws BenchError when the page has no place for it */
export async function render(results: readonly Result[], docs: string): Promise<void> {
  const page = path.join(docs, 'performance.md');
  const text = await readFile(page, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new BenchError(`${page} has lost the lines ${BEGIN} and ${END}: put them back`);
  }
  const charts = path.join(docs, 'charts');
  await mkdir(charts, { recursive: true });
  for (const result of results) {
    await writeFile(path.join(charts, chartOf(result)), chart(result));
  }
  const [before, after] = [text.slice(0, begin + BEGIN.length), text.slice(end)];
  await writeFile(page, `${before}\n\n${generated(results)}\n\n${after}`);
}

function generated(results: readonly Result[]): string {
  if (results.length === 0) return 'No results yet: `make bench` puts them here.';
  return [reach(results), ...results.map(section), machines(results)].join('\n\n');
}

function reach(results: readonly Result[]): string {
  const rows = standings(results).map(
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
    markdownTable(result),
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
