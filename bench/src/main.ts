/** `pnpm bench [NAME...]`: runs benchmarks, writes their results and the performance page. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Comparison, Progress } from './harness/comparison.js';
import { B1, B2 } from './b1-path.js';
import { B3 } from './b3-server.js';
import { B4 } from './b4-gate.js';
import { B5 } from './b5-write-back.js';
import { B6 } from './b6-memory.js';
import { B7 } from './b7-processor.js';
import { B8 } from './b8-guest.js';
import { B10 } from './b10-links.js';
import { B12 } from './b12-flushes.js';
import { B9, B9B } from './services/b9-services.js';
import { B9C } from './services/b9c-outside.js';
import { B11, B11B } from './checkpoints/b11-checkpoints.js';
import { hostFacts } from './harness/host.js';
import { renderReadme } from './report/readme.js';
import { render } from './report/report.js';
import type { Result } from './harness/result.js';
import { Scope } from './harness/scope.js';
import { table } from './report/table.js';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const RESULTS = path.join(ROOT, 'bench', 'results');
const COMPARISONS: readonly Comparison[] = [
  B1,
  B2,
  B3,
  B4,
  B5,
  B6,
  B7,
  B8,
  B9,
  B9B,
  B9C,
  B10,
  B11,
  B11B,
  B12,
];
const USAGE = `pnpm bench [NAME...] [OPTION...]

  NAME        B1 to B12, B9B, B9C, B11B; all but B9, B9B, B9C, B11 and B11B by default
  --rounds N  measurements of each contender at each point; 5 by default
  --quick     one short round as a smoke test; keeps no result
  --only P    only points whose name matches this regular expression; keeps no result
  --json      prints results as JSON
  --list      lists the benchmarks and how long they take
  --render    rewrites the pages, their charts and README's figures from existing results`;

interface Options {
  readonly names: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly only: RegExp | undefined;
  readonly json: boolean;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      render: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, json } = values;
  const names = positionals.map((name) => name.toUpperCase());
  const unknown = names.filter((name) => !COMPARISONS.some((each) => each.name === name));
  const rounds = Number(values.rounds);
  if (values.help || unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
    if (unknown.length > 0) console.error(`no benchmark ${unknown.join(', ')}\n`);
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.list) {
    list(rounds);
    return 0;
  }
  if (values.render) {
    await renderAll();
    return 0;
  }
  const only = values.only === undefined ? undefined : new RegExp(values.only);
  return measure({ names, rounds: quick ? 1 : rounds, quick, only, json });
}

async function measure({ names, rounds, quick, only, json }: Options): Promise<number> {
  const chosen = COMPARISONS.filter(({ name, isOnRequest = false }) =>
    names.length === 0 ? !isOnRequest : names.includes(name),
  );
  const isKept = !quick && only === undefined;
  const scopes = new Set<Scope>();
  const leaving = new AbortController();
  const leave = (signal: NodeJS.Signals): void => {
    // Ctrl-C may arrive twice: from the terminal, and from the program that started us.
    if (leaving.signal.aborted) return;
    leaving.abort();
    console.error(`\n${signal}: cleaning up`);
    void Promise.all([...scopes].map((scope) => scope.close())).then(() => {
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  };
  process.on('SIGINT', leave).on('SIGTERM', leave);
  await Scope.sweep();
  const host = await hostFacts();
  const results: Result[] = [];
  const failures: string[] = [];
  for (const comparison of chosen) {
    const scope = new Scope();
    scopes.add(scope);
    const begunMs = performance.now();
    try {
      const { name, title, about } = comparison;
      const progress = progressOf(comparison, quick);
      const outcome = await comparison.run({ scope, rounds, quick, only, progress });
      const contenders = outcome.contenders.map(({ name, setup }) => ({ name, setup }));
      const measuredAt = new Date().toISOString();
      const head = { name, title, about, measuredAt, rounds, quick, host };
      const result: Result = { ...head, ...outcome, contenders };
      results.push(result);
      if (!json) console.log(`\n${table(result)}\n`);
      failures.push(...failuresOf(result));
      if (isKept) await keep(result);
    } catch (error) {
      // The handler of the signal ends the process.
      if (leaving.signal.aborted) await new Promise(() => undefined);
      failures.push(`${comparison.name}: ${String(error)}`);
    } finally {
      await scope.close();
      scopes.delete(scope);
    }
    console.error(`${comparison.name}: ${Math.round((performance.now() - begunMs) / 1000)} s`);
  }
  if (json) console.log(JSON.stringify(results, undefined, 1));
  if (isKept) await renderAll();
  for (const failure of failures) console.error(`FAILED ${failure}`);
  return failures.length > 0 ? 1 : 0;
}

/** Only Gannet's own failures fail the run; those of rivals are in the table. */
function failuresOf({ name, points }: Result): string[] {
  return points.flatMap(({ name: point, entries }) =>
    entries
      .filter(({ contender }) => contender.startsWith('Gannet'))
      .flatMap(({ contender, failures }) =>
        failures.map((why) => `${name}, ${point}, ${contender}: ${why}`),
      ),
  );
}

async function keep(result: Result): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(
    path.join(RESULTS, `${result.name}.json`),
    `${JSON.stringify(result, null, 1)}\n`,
  );
}

async function renderAll(): Promise<void> {
  const results: Result[] = [];
  for (const { name } of COMPARISONS) {
    const text = await readFile(path.join(RESULTS, `${name}.json`), 'utf8').catch(() => undefined);
    if (text !== undefined) results.push(JSON.parse(text) as Result);
  }
  await render(results, path.join(ROOT, 'docs', 'explanation'));
  await renderReadme(results, path.join(ROOT, 'README.md'));
}

function list(rounds: number): void {
  let sum = 0;
  for (const { name, title, estimateSeconds, isOnRequest = false } of COMPARISONS) {
    const seconds = (estimateSeconds * rounds) / 5;
    if (!isOnRequest) sum += seconds;
    const when = isOnRequest ? ', on request' : '';
    console.log(`${name.padEnd(4)}  ${`${Math.round(seconds)} s`.padStart(6)}  ${title}${when}`);
  }
  console.log(`      ${`${Math.round(sum)} s`.padStart(6)}  in all, with ${rounds} rounds`);
}

/** Overwrites one line on a terminal; elsewhere prints a line every few seconds. */
function progressOf({ name, estimateSeconds }: Comparison, quick: boolean): Progress {
  const begunMs = performance.now();
  let all = 0;
  let done = 0;
  let toldMs = -Infinity;
  return {
    expect: (steps) => (all += steps),
    step: (what) => {
      const nowMs = performance.now();
      const perStepMs = done > 2 ? (nowMs - begunMs) / done : NaN;
      const guessMs = quick ? NaN : estimateSeconds * 1000 - (nowMs - begunMs);
      const leftMs = Number.isNaN(perStepMs) ? guessMs : perStepMs * (all - done);
      const left = Number.isNaN(leftMs) ? '' : `, ${Math.max(0, Math.round(leftMs / 1000))} s left`;
      const line = `${name} ${++done}/${all}${left}: ${what}`;
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
      else if (nowMs - toldMs > 5000) {
        toldMs = nowMs;
        console.error(line);
      }
    },
  };
}

process.exitCode = await main();
