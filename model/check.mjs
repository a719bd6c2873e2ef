// Checks the model with spin: the protocol must hold, every mutant and every known hole must give a
// counterexample, every witness must be reached. README.md explains what that means.
//
//   node model/check.mjs [--json FILE] [--trace NAME] [NAME...]
//
// Needs spin and gcc. Exits with 1 when anything is other than expected, with 2 when asked for a
// name that does not exist.
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const DEPTH_MAX = 20_000;
const TIMEOUT_MS = 300_000;

/**
 * @typedef {{kind: 'holds' | 'mutant' | 'hole' | 'witness', name: string, flags: string[]}} Variant
 *
 * @typedef {object} Found What spin found.
 * @property {number} [states]
 * @property {number} [depth]
 * @property {number} [seconds]
 * @property {string | undefined} [violated] the first assertion that failed, if one did
 * @property {string | undefined} [story] how, if it was asked for
 * @property {Error} [error] it could not be checked
 *
 * @typedef {Variant & Found & {good: boolean}} Result
 * @type {(name: string, ...flags: string[]) => Variant}
 */
const holds = (name, ...flags) => ({ kind: 'holds', name, flags });
/** @type {(name: string, ...flags: string[]) => Variant} */
const mutant = (name, ...flags) => ({ kind: 'mutant', name, flags: [`MUTANT_${name}`, ...flags] });
/** @type {(name: string, ...flags: string[]) => Variant} */
const hole = (name, ...flags) => ({ kind: 'hole', name, flags: [name, ...flags] });
/** @type {(name: string, ...flags: string[]) => Variant} */
const witness = (name, ...flags) => ({
  kind: 'witness',
  name,
  flags: [`WITNESS_${name}`, ...flags],
});

// Longest first: they are spread over the processors.
const VARIANTS = [
  holds('crash, failover', 'CRASH=1', 'FAILOVER=2', 'EPOCHS=1', 'DISKS=1'),
  holds('crash', 'CRASH=1', 'EPOCHS=1', 'DISKS=1', 'NEVER_DIVERGES', 'ANSWERED_FIRST'),
  holds('user, failover', 'USER=1', 'FAILOVER=1', 'EPOCHS=1', 'DISKS=1'),
  holds('cut, two checkpoints', 'CUT=1', 'EPOCHS=2', 'DISKS=1'),
  holds('user', 'USER=2', 'EPOCHS=1', 'DISKS=1'),
  holds('cut, failover', 'CUT=1', 'FAILOVER=2', 'EPOCHS=1', 'DISKS=1'),
  holds('cut, two disks', 'CUT=1', 'EPOCHS=1'),
  holds('failover', 'FAILOVER=1', 'EPOCHS=1'),
  holds('no faults', 'EPOCHS=2', 'NEVER_DIVERGES'),
  mutant('NO_GATE', 'EPOCHS=1'),
  mutant('ONE_TURN', 'EPOCHS=1'),
  mutant('GATE_OF_ONE_DISK', 'EPOCHS=1'),
  mutant('GATE_PER_DISK', 'EPOCHS=1', 'CUT=1'),
  mutant('LATE_COMMIT', 'EPOCHS=1'),
  mutant('COMMIT_AT_STOP', 'EPOCHS=1'),
  mutant('FIRST_RESUME', 'EPOCHS=1'),
  mutant('NO_QUERY', 'EPOCHS=1', 'USER=2'),
  mutant('COMMIT_AFTER_LOSS', 'EPOCHS=1', 'CUT=1'),
  mutant('ALWAYS_PROVISIONAL', 'EPOCHS=1', 'CUT=1', 'DISKS=1'),
  mutant('NO_PROVISIONAL', 'ANSWERED_FIRST', 'EPOCHS=1', 'CRASH=1', 'DISKS=1', 'NEVER_DIVERGES'),
  mutant('LATE_STOP', 'ANSWERED_FIRST', 'EPOCHS=1', 'CRASH=1', 'DISKS=1', 'NEVER_DIVERGES'),
  mutant('END_PASSES_GATE', 'ANSWERED_FIRST', 'EPOCHS=1', 'CRASH=1', 'DISKS=1', 'NEVER_DIVERGES'),
  mutant('FAILOVER_COMMITS', 'EPOCHS=1', 'FAILOVER=1', 'DISKS=1'),
  mutant('LAST_MODE_IGNORED', 'EPOCHS=1', 'FAILOVER=1', 'DISKS=1'),
  mutant('FAILOVER_IN_DOUBT', 'EPOCHS=1', 'FAILOVER=1', 'USER=1', 'DISKS=1'),
  mutant('DOUBT_IS_COMMIT', 'EPOCHS=1', 'USER=2', 'DISKS=1'),
  mutant('DOUBT_IS_ABORT', 'EPOCHS=1', 'USER=2', 'DISKS=1'),
  mutant('REFUSED_FORGOTTEN', 'EPOCHS=1', 'CUT=1'),
  hole('KNOWN_HOLE', 'EPOCHS=1', 'CUT=1', 'FAILOVER=2', 'DISKS=1'),
  hole('SLOW_END', 'EPOCHS=1', 'CUT=1', 'DISKS=1'),
  hole('QUICK_CONT', 'EPOCHS=1', 'USER=2', 'DISKS=1'),
  hole('SLOW_CONT', 'EPOCHS=1', 'USER=1', 'DISKS=1'),
  hole('CONT_IN_CHECKPOINT', 'EPOCHS=1', 'USER=1', 'DISKS=1'),
  hole('STOP_BEFORE_ANSWER', 'EPOCHS=1', 'CRASH=1', 'DISKS=1', 'NEVER_DIVERGES'),
  hole('ANSWER_IN_FAILOVER', 'EPOCHS=1', 'USER=1', 'FAILOVER=1', 'DISKS=1'),
  witness('LAST_COMMIT', 'EPOCHS=2'),
  witness('FAILOVER', 'EPOCHS=1', 'FAILOVER=1', 'DISKS=1'),
  witness('PROVISIONAL', 'EPOCHS=1', 'CRASH=1', 'DISKS=1'),
  witness('PROVISIONAL_FAILOVER', 'EPOCHS=1', 'CRASH=1', 'FAILOVER=2', 'DISKS=1'),
  witness('SETTLED_DOUBT', 'EPOCHS=2', 'USER=2', 'DISKS=1'),
];

/**
 * @param {Variant} variant
 * @param {{trace?: boolean}} options
 * @returns {Promise<Found>}
 */
async function check({ kind, flags }, { trace = false } = {}) {
  const directory = await mkdtemp(path.join(tmpdir(), 'gannet-model-'));
  const options = { cwd: directory, timeout: TIMEOUT_MS, maxBuffer: 1 << 28 };
  try {
    for (const file of ['colo.pml', 'replicator.pml', 'environment.pml']) {
      await cp(path.join(here, file), path.join(directory, file));
    }
    const defines = flags.map((flag) => `-D${flag}`);
    await run('spin', ['-a', ...defines, 'colo.pml'], options);
    await run(
      'gcc',
      [kind === 'holds' ? '-O2' : '-O0', '-w', '-DSAFETY', '-o', 'pan', 'pan.c'],
      options,
    );
    const begun = performance.now();
    // -E: a VM that waits for a dead peer is no error. Nothing is left out: no -w of bitstate, no
    // depth cut short.
    const { stdout } = await run('./pan', ['-E', `-m${DEPTH_MAX}`, '-w24'], options);
    const seconds = (performance.now() - begun) / 1000;
    const found = summarize(stdout);
    const story =
      trace && found.violated
        ? await run('spin', ['-t', ...defines, 'colo.pml'], options)
        : undefined;
    return { ...found, seconds, story: story?.stdout };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @param {string} text */
function summarize(text) {
  /** @param {RegExp} pattern */
  const number = (pattern) => Number(pattern.exec(text)?.[1] ?? NaN);
  if (/max search depth too small/.test(text))
    throw new Error('the search was cut short: raise DEPTH_MAX');
  const errors = number(/errors: (\d+)/);
  if (Number.isNaN(errors)) throw new Error(`pan said nothing of use:\n${text}`);
  return {
    states: number(/^\s*([\d.e+]+) states, stored/m),
    depth: number(/depth reached (\d+)/),
    violated: errors > 0 ? (/assertion violated (.*)/.exec(text)?.[1] ?? text) : undefined,
  };
}

/**
 * A mutant's, hole's or witness's assertion must fail; nothing else may.
 *
 * @param {readonly Variant[]} variants
 * @returns {Promise<Result[]>}
 */
async function checkAll(variants) {
  /** @type {Result[]} */
  const results = [];
  const queue = [...variants];
  const worker = async () => {
    for (let variant = queue.shift(); variant; variant = queue.shift()) {
      const result = await check(variant).catch((error) => /** @type {Found} */ ({ error }));
      const good = !result.error && (variant.kind === 'holds') === (result.violated === undefined);
      const judged = { ...variant, ...result, good };
      results[variants.indexOf(variant)] = judged;
      console.log(rowOf(judged));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return results;
}

/** @param {Result} result */
function verdictOf({ kind, violated, error, good }) {
  if (error) return `could not be checked: ${error.message.split('\n')[0]}`;
  if (kind === 'holds') return good ? 'holds' : `VIOLATED ${violated}`;
  return good ? { mutant: 'caught', hole: 'shown', witness: 'reached' }[kind] : 'NO COUNTEREXAMPLE';
}

/** @param {Result} result */
function rowOf(result) {
  const { kind, name, states = 0, depth = 0, seconds = 0 } = result;
  const figures = [
    String(states).padStart(9),
    String(depth).padStart(7),
    seconds.toFixed(1).padStart(9),
  ];
  return `${kind.padEnd(8)} ${name.padEnd(22)}${figures.join('')}  ${verdictOf(result)}`;
}

/** @param {readonly Result[]} results */
function summary(results) {
  /** @param {string} kind */
  const count = (kind) => {
    const all = results.filter((result) => result.kind === kind);
    return `${all.filter(({ good }) => good).length} of ${all.length}`;
  };
  console.log(
    `\nhold: ${count('holds')}; mutants caught: ${count('mutant')}; ` +
      `known holes shown: ${count('hole')}; witnesses reached: ${count('witness')}`,
  );
}

const words = process.argv.slice(2);
/** @param {string} option */
const take = (option) => {
  const at = words.indexOf(option);
  return at < 0 ? undefined : words.splice(at, 2)[1];
};
const json = take('--json');
const traced = take('--trace');
const unheard = [...words, ...(traced ? [traced] : [])].filter(
  (name) => !VARIANTS.some((v) => v.name === name),
);
if (unheard.length > 0) {
  console.error(
    `no variant ${unheard.join(', ')}; there are ${VARIANTS.map((v) => v.name).join(', ')}`,
  );
  process.exit(2);
}
const variant = VARIANTS.find(({ name }) => name === traced);
if (variant) {
  const { violated, story } = await check(variant, { trace: true });
  console.log(story?.replace(/^ +/gm, '') ?? 'no counterexample');
  console.log(violated ? `violated: ${violated}` : '');
} else {
  console.log('kind     variant                  states  depth  seconds  verdict');
  const results = await checkAll(
    words.length > 0 ? VARIANTS.filter(({ name }) => words.includes(name)) : VARIANTS,
  );
  summary(results);
  const passed = results.filter(({ good }) => good).length;
  const failed = results.length - passed;
  if (json) await writeFile(json, JSON.stringify({ passed, failed }));
  if (failed > 0) process.exitCode = 1;
}
