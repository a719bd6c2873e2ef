// Checks the three models with spin: the protocols must hold, every mutant and every known hole
// must give a counterexample, every witness must be reached. README.md explains what that means.
//
//   node model/check.mjs [--json FILE] [--trace NAME] [--deep] [NAME...]
//
// --deep adds larger bounds of the other two, and takes minutes more. Needs spin and gcc. Exits
// with 1 when anything is other than expected, with 2 when asked for a name that does not exist.
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const DEPTH_MAX = 20_000;
const TIMEOUT_MS = 600_000;
const SOURCES = {
  colo: { main: 'colo.pml', parts: ['replicator.pml', 'environment.pml'] },
  arbitration: { main: 'arbitration.pml', parts: ['sides.pml'] },
  vsmr: { main: 'vsmr.pml', parts: [] },
};

/**
 * @typedef {'holds' | 'mutant' | 'hole' | 'witness'} Kind
 *
 * @typedef {{kind: Kind, name: string, flags: string[]}} Case
 *
 * @typedef {Case & {model: keyof typeof SOURCES}} Variant
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
 * @type {(name: string, ...flags: string[]) => Case}
 */
const holds = (name, ...flags) => ({ kind: 'holds', name, flags });
/** @type {(name: string, ...flags: string[]) => Case} */
const mutant = (name, ...flags) => ({ kind: 'mutant', name, flags: [`MUTANT_${name}`, ...flags] });
/** @type {(name: string, ...flags: string[]) => Case} */
const hole = (name, ...flags) => ({ kind: 'hole', name, flags: [name, ...flags] });
/** @type {(name: string, ...flags: string[]) => Case} */
const witness = (name, ...flags) => ({
  kind: 'witness',
  name,
  flags: [`WITNESS_${name}`, ...flags],
});

// Longest first: they are spread over the processors.
/** @type {Case[]} */
const COLO = [
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

/** @type {Case[]} */
const ARBITRATION = [
  holds('force, daemon crash', 'FORCES=1', 'CRASHES=1'),
  holds('force, partition', 'FORCES=1', 'CUTS=1'),
  holds('unfit, partition, death', 'UNFIT=1', 'CUTS=1', 'DEATHS=1'),
  holds('protect, partition, crash', 'PROTECTS=1', 'CUTS=1', 'CRASHES=1'),
  holds('partition, death', 'CUTS=1', 'DEATHS=1'),
  holds('partition, crash', 'CUTS=1', 'CRASHES=1'),
  holds('death, daemon crash', 'DEATHS=1', 'CRASHES=1'),
  holds('no fence at A', 'FENCE_A=0', 'CUTS=1', 'DEATHS=1', 'CRASHES=1'),
  holds('autostart, partition', 'AUTOSTART', 'CUTS=1', 'DEATHS=1'),
  mutant('MEMORY_ONLY', 'NO_REST', 'FENCE_A=0', 'FENCE_B=0', 'CRASHES=1', 'DEATHS=1', 'CUTS=1'),
  mutant('RECEIVED_IS_TOLD', 'FORCES=1'),
  mutant('FORWARDER'),
  mutant('UNFIT_FENCES', 'UNFIT=1', 'CUTS=1'),
  mutant('ONLY_COLO_COMPARES', 'AUTOSTART', 'DEATHS=1'),
  mutant('PERIOD_IGNORED', 'CRASHES=1'),
  mutant('STUCK_LINK', 'CUTS=1'),
  mutant('RECORD_AFTER', 'FENCE_A=0', 'DEATHS=1'),
  mutant('ACT_BEFORE_DURABLE', 'DEATHS=1', 'CRASHES=1'),
  mutant('STALE_DECISION', 'DEATHS=1', 'CUTS=1', 'CRASHES=1'),
  mutant('NO_LEAVING', 'DEATHS=1', 'CUTS=1'),
  mutant('LEAVING_RISES', 'DEATHS=1', 'CUTS=1', 'CRASHES=1'),
  mutant('ALONE_TAKEN_BACK', 'FORCES=1', 'CRASHES=1'),
  mutant('HELD_FENCES', 'DEATHS=1', 'CUTS=1'),
  mutant('UNPROMISED_FENCE', 'FENCE_A=0', 'CUTS=1'),
  mutant('UNHEARD_IS_FIT', 'PROTECTS=1', 'CRASHES=1', 'CUTS=1'),
  mutant('ONLY_PRIMARY_STOPS', 'FORCES=1'),
  hole('AUTOSTART_RUNS', 'AUTOSTART', 'DEATHS=1'),
  hole('FORCED_ALONE', 'FORCES=1', 'CUTS=1'),
  hole('SWALLOWED_WRITES', 'CUTS=1'),
  hole('FENCE_LIES', 'CUTS=1'),
  hole('NEVER_RAN', 'CUTS=1'),
  witness('BY_WORD', 'DEATHS=1'),
  witness('BY_FENCE', 'CUTS=1'),
  witness('NEW_QEMU', 'DEATHS=1'),
  witness('AGAIN', 'PROTECTS=1', 'CUTS=1'),
  witness('TWO', 'FORCES=1'),
  witness('PRIMARY_STOPS', 'FORCES=1'),
  witness('SECONDARY_STOPS', 'FORCES=1'),
];

/** @type {Case[]} */
const VSMR = [
  holds('two phases: failure, crash', 'FAILS=1', 'CRASHES=1'),
  holds('two phases: two failures', 'FAILS=2'),
  holds('two phases: cut, crash', 'CUTS=1', 'CRASHES=1'),
  holds('two phases: three checkpoints', 'CHECKPOINTS=3', 'TURNS=2'),
  mutant('RAM_AFTER_DEVICE'),
  mutant('PAGE_LEFT_OUT'),
  mutant('COMMIT_BEFORE_APPLY', 'FAILS=1'),
  mutant('OUTPUT_EARLY'),
  mutant('STALE_DEVICE'),
  mutant('OWN_DEVICE'),
  mutant('RAM_BEFORE_SAVE'),
  mutant('APPLIED_EARLY', 'CRASHES=1'),
  mutant('TORN_APPLIED', 'CRASHES=1'),
  mutant('NO_UNDO', 'FAILS=1'),
  mutant('FORGETS_PENDING', 'FAILS=1'),
  witness('LAST', 'CRASHES=1'),
  witness('FINISHED_ALONE', 'CRASHES=1'),
  witness('UNDONE', 'FAILS=1'),
  witness('UNFIT', 'FAILS=2'),
];

/** @type {Case[]} */
const DEEP = [
  holds('deep: force, partition, crash', 'FORCES=1', 'CUTS=1', 'CRASHES=1'),
  holds('deep: force, partition, death', 'FORCES=1', 'CUTS=1', 'DEATHS=1'),
  holds('deep: protect, all faults', 'PROTECTS=1', 'CUTS=1', 'DEATHS=1', 'CRASHES=1'),
  holds('deep: two fences a side', 'FENCES=2', 'CUTS=1', 'DEATHS=1'),
  holds('deep: all faults', 'CUTS=1', 'DEATHS=1', 'CRASHES=1'),
];

/** @type {Case[]} */
const VSMR_DEEP = [holds('deep: two failures, crash', 'FAILS=2', 'CRASHES=1')];

/**
 * @param {Variant} variant
 * @param {{trace?: boolean}} options
 * @returns {Promise<Found>}
 */
async function check({ kind, model, flags }, { trace = false } = {}) {
  const { main, parts } = SOURCES[model];
  const directory = await mkdtemp(path.join(tmpdir(), 'gannet-model-'));
  const options = { cwd: directory, timeout: TIMEOUT_MS, maxBuffer: 1 << 28 };
  try {
    for (const file of [main, ...parts]) {
      await cp(path.join(here, file), path.join(directory, file));
    }
    const defines = flags.map((flag) => `-D${flag}`);
    await run('spin', ['-a', ...defines, main], options);
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
      trace && found.violated ? await run('spin', ['-t', ...defines, main], options) : undefined;
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
  return `${kind.padEnd(8)} ${name.padEnd(30)}${figures.join('')}  ${verdictOf(result)}`;
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
const isDeep = words.includes('--deep');
if (isDeep) words.splice(words.indexOf('--deep'), 1);
/** @type {(model: keyof typeof SOURCES) => (item: Case) => Variant} */
const of = (model) => (item) => ({ ...item, model });
const VARIANTS = [
  ...(isDeep ? [...DEEP.map(of('arbitration')), ...VSMR_DEEP.map(of('vsmr'))] : []),
  ...COLO.map(of('colo')),
  ...ARBITRATION.map(of('arbitration')),
  ...VSMR.map(of('vsmr')),
];
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
  console.log('kind     variant                          states  depth  seconds  verdict');
  const results = await checkAll(
    words.length > 0 ? VARIANTS.filter(({ name }) => words.includes(name)) : VARIANTS,
  );
  summary(results);
  const passed = results.filter(({ good }) => good).length;
  const failed = results.length - passed;
  if (json) await writeFile(json, JSON.stringify({ passed, failed }));
  if (failed > 0) process.exitCode = 1;
}
