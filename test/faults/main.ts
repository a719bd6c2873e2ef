// make faults: runs the fault matrix on real QEMU, one cell after the other, and keeps what came of
// it.
//
//   node test/faults/dist/main.js [--only RE] [--seed N] [--jobs N] [--results FILE]
//     [--list] [--missing]

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs, promisify } from 'node:util';
import { CELLS } from './cells.js';
import { RELIABILITY, RESULTS } from './places.js';
import type { Results } from './results.js';
import { render } from './render.js';
import { abandon, runCell } from './run-cell.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    results: { type: 'string', default: RESULTS },
    jobs: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    missing: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const kept = JSON.parse(await readFile(values.results, 'utf8').catch(() => '{}')) as Results;
const wanted = CELLS.filter(
  ({ id, expected }) =>
    expected.length > 0 &&
    new RegExp(values.only).test(id) &&
    !(values.missing && kept[id]?.passed === true),
);

/** Told to end: what becomes of cells that are under way is no result. */
let isEnding = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isEnding = true;
    void abandon().finally(() => process.exit(130));
  });
}

if (values.list) {
  for (const { id, expected } of wanted) console.log(`${id}: ${expected.join(' or ')}`);
} else {
  await run();
}

async function run(): Promise<void> {
  const { stdout } = await promisify(execFile)('qemu-system-x86_64', ['--version']);
  const qemu = /version ([\d.]+)/.exec(stdout)?.[1] ?? '?';
  const left = [...wanted];
  let failed = 0;
  const work = async (): Promise<void> => {
    for (let cell = left.shift(); cell; cell = left.shift()) {
      const result = await runCell(cell, seed);
      if (isEnding) return;
      if (!result.passed) failed++;
      const { passed, outcome = '', seconds } = result;
      const words = `${passed ? 'ok' : 'NOT OK'} ${outcome} (${seconds} s)`;
      console.log(`${cell.id}: ${words}; ${left.length} left`);
      if (result.fault !== undefined) console.log(result.fault);
      const date = new Date().toISOString().slice(0, 10);
      // A log is for whoever mends it, now.
      const { fault, ...rest } = result;
      const said = fault === undefined ? {} : { fault: fault.split('\n')[0] ?? '' };
      kept[cell.id] = { ...rest, ...said, date, qemu, seed };
      keep();
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  if (values.results === RESULTS) await writeFile(RELIABILITY, await render());
  console.log(`${wanted.length - failed} passed, ${failed} failed (seed ${seed})`);
  process.exitCode = failed > 0 || wanted.length === 0 ? 1 : 0;
}

function keep(): void {
  const inOrder = CELLS.flatMap(({ id }) => (kept[id] ? [[id, kept[id]] as const] : []));
  const text = JSON.stringify(Object.fromEntries(inOrder), undefined, 2);
  writeFileSync(values.results, `${text}\n`);
}
