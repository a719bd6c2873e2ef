// make kills: kills a real secondary daemon, again and again, and looks at what it left behind.
//
//   node test/robustness/dist/kills/main.js [--kills N] [--seed SEED] [--once]

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type LifeReport, runLife } from './crash-run.js';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    once: { type: 'boolean', default: false },
  },
});

const wanted = Number(values.kills);
const first = Number(values.seed ?? 1 + Math.floor(Math.random() * 1e9));
const folder = await mkdtemp(path.join(tmpdir(), 'gannet-kills-'));
const reports: LifeReport[] = [];
const startMs = performance.now();
let kills = 0;
console.log(`seeds from ${first} on, until ${values.once ? 'its end' : `${wanted} kills`}`);
try {
  for (let seed = first; kills < wanted; seed++) {
    const report = await runLife(seed, path.join(folder, String(seed)));
    reports.push(report);
    kills += report.kills;
    if (values.once) {
      console.log(JSON.stringify(report, null, 2));
      break;
    }
    if (reports.length % 20 === 0) print();
  }
  print();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

function print(): void {
  const sum = (of: (report: LifeReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const count = (is: (report: LifeReport) => boolean): number => reports.filter(is).length;
  const moments = [...new Set(reports.map(({ moment }) => moment))].sort().map((moment) => {
    return `${moment} ${count((report) => report.moment === moment)}`;
  });
  const recoveries = sum(({ recoveryKills }) => recoveryKills);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  const recovered = count(({ end }) => end === 'recovered');
  const refused = count(({ end }) => end === 'refused');
  console.log(
    `${kills} kills (${recoveries} of recoveries) in ${reports.length} runs, ` +
      `${seconds} s; daemons killed in: ${moments.join(', ')}\n` +
      `  recovered ${recovered}, refused ${refused}; ` +
      `${sum(({ writes }) => writes)} writes and ` +
      `${sum(({ flushes }) => flushes)} flushes after failovers; ` +
      `${sum(({ bonus }) => bonus)} writes survived without a flush; ` +
      `${sum(({ lockedOut }) => lockedOut)} recoveries came before the locks were free`,
  );
}
