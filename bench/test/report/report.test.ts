import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { GANNET, NBDKIT } from '../../src/b3-server.js';
import { chart } from '../../src/report/chart.js';
import { renderReadme } from '../../src/report/readme.js';
import { render } from '../../src/report/report.js';
import type { Entry, Result } from '../../src/harness/result.js';
import { quantile, summarize } from '../../src/harness/stats.js';
import { standings } from '../../src/report/targets.js';

function entry(contender: string, median: number, failures: string[] = []): Entry {
  return { contender, median, min: median, max: median, count: 5, samples: [median], failures };
}

function serverResult(ours: Entry): Result {
  return {
    ...{ name: 'B3', title: 'NBD <server>', about: 'About.', measuredAt: '2026-01-02T03:04:05Z' },
    ...{ rounds: 5, quick: false, host: { cpu: 'a processor' } as Result['host'], notes: [] },
    contenders: [GANNET, NBDKIT].map((name) => ({ name, setup: `setup of ${name}` })),
    baseline: NBDKIT,
    points: [
      { name: 'a point', unit: 'IOPS', better: 'higher', entries: [ours, entry(NBDKIT, 100)] },
    ],
  };
}

test('medians and quantiles are interpolated', () => {
  expect(summarize([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4, count: 4 });
  expect(quantile([0, 10], 0.99)).toBeCloseTo(9.9);
});

test.each([
  [120, 'aim met'],
  [95, 'met'],
  [80, 'missed'],
])('%d of 100 is: %s', (ours, verdict) => {
  const rows = standings([serverResult(entry(GANNET, ours))]);
  expect(rows.find(({ what }) => what.startsWith('B3'))).toMatchObject({ verdict });
  expect(rows.find(({ what }) => what.startsWith('B8'))).toMatchObject({ verdict: 'not measured' });
});

test('a run of Gannet that failed misses the target, however fast the others were', () => {
  const rows = standings([serverResult(entry(GANNET, 200, ['lost data']))]);
  expect(rows.find(({ what }) => what.startsWith('B3'))?.verdict).not.toMatch(/met$/);
});

test('text around the marks is kept; the part between them is replaced, each time', async () => {
  const docs = await mkdtemp(path.join(tmpdir(), 'gannet-report-'));
  const page = path.join(docs, 'performance.md');
  const [begin, end] = ['<!-- bench: generated from here -->', '<!-- bench: generated to here -->'];
  await writeFile(page, `Before.\n${begin}\nold\n${end}\nAfter.\n`);
  const result = serverResult(entry(GANNET, 120));
  await render([result], docs);
  const once = await readFile(page, 'utf8');
  expect(once).toMatch(/^Before\.\n/);
  expect(once).toMatch(/\nAfter\.\n$/);
  expect(once).not.toContain('old');
  expect(once).toContain('| a point [IOPS] | 120 (120-120), 1.20x | 100 (100-100) |');
  await render([result], docs);
  expect(await readFile(page, 'utf8')).toBe(once);
  expect(await readFile(path.join(docs, 'charts', 'b3.svg'), 'utf8')).toBe(chart(result));
  await writeFile(page, 'no marks');
  await expect(render([result], docs)).rejects.toThrow(/put them back/);
  await rm(docs, { recursive: true });
});

test('a chart is well-formed, escapes text, and shows who failed', () => {
  const svg = chart(serverResult(entry(GANNET, 120, ['stalled'])));
  expect(svg).toContain('NBD &lt;server&gt;');
  expect(svg).toContain('failed');
  expect(svg).toContain('prefers-color-scheme: dark');
  expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length);
});

function servicesResult(notes: string[]): Result {
  const rate = (name: string, ours: number): Result['points'][number] => ({
    ...{ name, unit: '1/s', better: 'higher' },
    entries: [entry('native', 100), entry('COLO, same disk', 20), entry('Gannet', ours)],
  });
  return {
    ...serverResult(entry(GANNET, 1)),
    ...{ name: 'B9', title: 'Services', baseline: 'native', notes },
    contenders: ['native', 'COLO, same disk', 'Gannet'].map((name) => ({ name, setup: 'so' })),
    points: [rate('Redis', 99), rate('SQLite', 50), rate('Redis: pause of a checkpoint', 7)],
  };
}

test('a service that does not wait for the disk counts for no claim', () => {
  const native = (notes: string[]): unknown =>
    standings([servicesResult(notes)]).find(({ what }) => what.startsWith('B9 Gannet / native'));
  expect(native([])).toMatchObject({ measured: '0.5x (SQLite)', verdict: 'missed' });
  const notes = ['SQLite is limited by the emulated processor'];
  expect(native(notes)).toMatchObject({ measured: '0.99x (Redis)', verdict: 'aim met' });
});

test('services have their own page, and a chart of their operations alone', async () => {
  const docs = await mkdtemp(path.join(tmpdir(), 'gannet-report-'));
  const marks = '<!-- bench: generated from here -->\n<!-- bench: generated to here -->\n';
  for (const page of ['performance.md', 'services.md']) {
    await writeFile(path.join(docs, page), marks);
  }
  await render([servicesResult([])], docs);
  expect(await readFile(path.join(docs, 'performance.md'), 'utf8')).toBe(marks);
  const page = await readFile(path.join(docs, 'services.md'), 'utf8');
  expect(page).toContain('| Redis [1/s] | 100 (100-100) | 20.0 (20.0-20.0), 0.20x |');
  expect(page).toContain('| Redis: pause of a checkpoint [1/s] |');
  const svg = await readFile(path.join(docs, 'charts', 'b9.svg'), 'utf8');
  expect(svg).toContain('SQLite');
  expect(svg).not.toContain('pause');
  await rm(docs, { recursive: true });
});

test('README shows how services compare, of those that wait for the disk', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-report-'));
  const readme = path.join(folder, 'README.md');
  const marks = '<!-- bench: generated from here -->\n<!-- bench: generated to here -->\n';
  await writeFile(readme, `Before.\n${marks}After.\n`);
  await renderReadme([serverResult(entry(GANNET, 120))], readme);
  expect(await readFile(readme, 'utf8')).toBe(`Before.\n${marks}After.\n`);
  const both = servicesResult([]);
  await renderReadme([both], readme);
  const text = await readFile(readme, 'utf8');
  expect(text).toContain('| of the unprotected VM | 0.50 to 0.99 |');
  expect(text).toContain('| of stock COLO on the same disks | 2.50 to 4.95 |');
  expect(text).not.toContain('in memory');
  await renderReadme([servicesResult(['SQLite is limited by the processor'])], readme);
  expect(await readFile(readme, 'utf8')).toContain('| of the unprotected VM | 0.99 to 0.99 |');
  await rm(folder, { recursive: true });
});
