// Runs the tests in which QEMU takes part with each version of QEMU that Gannet claims to work
// with. Each result is kept in test/matrix/results.json as soon as it is there, and the table in
// docs/reference/compatibility.md is written from all of them.
//
//   node scripts/matrix.mjs [--version NAME]... [--since DATE] [--page] [--reports DIR] [SUITE...]
//
// A suite that fails, or a release that cannot be fetched, stops nothing else. To go on where a run
// was broken off, or with what has failed, give it the day of that run: `--since 2026-11-30` leaves
// out what has passed since then. `--page` runs nothing and writes the table; `--reports` too, with
// the column of the system's QEMU from the reports of `make test` (.cache/reports).
//
// Versions other than the system's come from Debian's archive (scripts/fetch-qemu.sh): 550 MB in
// .cache, the first time. What a version is, is a folder in front of PATH: all programs of the
// tests, and all that they start, use it. Every version runs every suite: the interop tests of each
// package, and each file of test/e2e that is not about the tests themselves. A version that is to
// be refused runs test/matrix/refused instead. Not part of CI: an hour and a half.
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';

const SUITE_TIMEOUT_MS = 30 * 60_000;
const JEST = [
  ...['--disable-warning=ExperimentalWarning', '--experimental-vm-modules'],
  'node_modules/jest/bin/jest.js',
];
const root = path.resolve(import.meta.dirname, '..');
const cache = path.join(root, '.cache');
const RESULTS = path.join(root, 'test/matrix/results.json');
const PAGE = path.join(root, 'docs/reference/compatibility.md');
/** The table is between these lines. */
const MARKS = ['<!-- begin of the matrix -->', '<!-- end of the matrix -->'];
const run = promisify(execFile);

/**
 * @typedef {object} Version
 * @property {string} name
 * @property {string} [release] of Debian; the system's own QEMU otherwise
 * @property {string} [folder]
 * @property {boolean} [strict] QEMU rejects and hides what it calls deprecated
 * @property {readonly string[]} [without] suites that need what is deprecated
 * @property {boolean} [refused] Gannet refuses it
 *
 * @typedef {{name: string, project: string, pattern: string}} Suite
 *
 * @typedef {object} Outcome
 * @property {string} date
 * @property {number} passed
 * @property {number} failed
 * @property {string} [note]
 *
 * @typedef {object} Column
 * @property {string} version
 * @property {string} machine
 * @property {Record<string, Outcome>} suites
 */

/**
 * The client's own tests are left out of `strict`: it has types of deprecated commands too.
 *
 * @type {Version[]}
 */
const VERSIONS = [
  { name: 'system' },
  { name: 'trixie', release: 'trixie', folder: 'qemu-10.0' },
  { name: 'trixie-backports', release: 'trixie-backports', folder: 'qemu-11.1' },
  {
    name: 'trixie-strict',
    release: 'trixie',
    folder: 'qemu-10.0',
    strict: true,
    without: ['qemu-qmp-client'],
  },
  {
    name: 'backports',
    release: 'bookworm-backports',
    folder: 'qemu-10.0-backports',
    refused: true,
  },
];
/** Tests of the tests, and those that bring their own QEMU. */
const NOT_OURS = new Set(['mutants', 'newest-qemu']);
/** @type {Suite} */
const REFUSED = { name: 'refused', project: 'matrix', pattern: 'test/matrix/refused' };

/** @returns {Promise<Suite[]>} */
async function allSuites() {
  /** @type {Suite[]} */
  const interop = [];
  for (const name of (await readdir(path.join(root, 'packages'))).sort()) {
    const folder = path.join(root, 'packages', name, 'test');
    const files = await readdir(folder, { recursive: true }).catch(() => []);
    if (!files.some((file) => file.endsWith('.interop.test.ts'))) continue;
    interop.push({ name, project: 'interop', pattern: `packages/${name}/` });
  }
  const files = await readdir(path.join(root, 'test/e2e'), { recursive: true });
  const e2e = files
    .filter((file) => file.endsWith('.test.ts') && !NOT_OURS.has(path.basename(file, '.test.ts')))
    .map((file) => {
      const base = path.basename(file, '.test.ts');
      const folder = path.dirname(file);
      return {
        // Both engines have a `network`.
        name: folder === 'vsmr' ? `vsmr.${base}` : base,
        project: base.endsWith('.long') ? 'e2e-long' : 'e2e',
        pattern: `test/e2e/${folder}/${base}\\.test`,
      };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
  return [...interop, ...e2e];
}

/**
 * Streams what the command says; resolves to whether it ended well.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<boolean>}
 */
function stream(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: SUITE_TIMEOUT_MS,
    });
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
}

/**
 * The environment in which a version is the QEMU, and what it says of itself.
 *
 * @param {Version} version
 */
async function prepare({ name, release, folder, strict }) {
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, CI: 'true' };
  if (release !== undefined && folder !== undefined) {
    const directory = path.join(cache, folder);
    const fetched = await stream('scripts/fetch-qemu.sh', [release, directory], env);
    if (!fetched) throw new Error(`${name} could not be fetched`);
    env.PATH = `${path.join(directory, 'bin')}:${env.PATH}`;
    if (strict) env.PATH = `${await strictFolder(directory)}:${env.PATH}`;
  }
  const { stdout: version } = await run('qemu-system-x86_64', ['--version'], { env });
  const { stdout: machines } = await run('qemu-system-x86_64', ['-machine', 'help'], { env });
  return {
    env,
    version: /version ([\d.]+)/.exec(version)?.[1] ?? '?',
    machine: /^pc .*alias of ([^)]+)\)/m.exec(machines)?.[1] ?? '?',
  };
}

/** @param {string} directory */
async function strictFolder(directory) {
  const folder = path.join(directory, 'strict');
  const program = path.join(folder, 'qemu-system-x86_64');
  await mkdir(folder, { recursive: true });
  const compat = '-compat deprecated-input=reject,deprecated-output=hide';
  const qemu = path.join(directory, 'bin/qemu-system-x86_64');
  const script = `#!/bin/sh\nexec '${qemu}' ${compat} "$@"\n`;
  await writeFile(program, script);
  await chmod(program, 0o755);
  return folder;
}

/**
 * @param {Suite} suite
 * @param {NodeJS.ProcessEnv} env
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
async function runSuite({ name, project, pattern }, env, folder) {
  const outputFile = path.join(folder, `${name}.json`);
  const args = ['--selectProjects', project, '--runInBand', '--testPathPatterns', pattern];
  // Not through npm: a run that takes too long is ended by a signal.
  const jest = [...JEST, ...args, '--json', '--outputFile', outputFile];
  const good = await stream(process.execPath, jest, env);
  const report = await readFile(outputFile, 'utf8').then(JSON.parse, () => undefined);
  await rm(outputFile, { force: true });
  const date = today();
  if (report === undefined) return { date, passed: 0, failed: 1, note: 'no report' };
  const passed = report.numPassedTests;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  if (failed > 0 || (good && passed > 0)) return { date, passed, failed };
  return { date, passed, failed: 1, note: good ? 'no test ran' : 'ended badly' };
}

/**
 * The system's QEMU, as `make test` has seen it.
 *
 * @param {string} directory
 */
async function takeReports(directory) {
  /** @type {Version} */
  const system = { name: 'system' };
  const { version, machine } = await prepare(system);
  /** @type {Record<string, Outcome>} */
  const outcomes = {};
  for (const project of ['interop', 'e2e']) {
    const report = JSON.parse(await readFile(path.join(directory, `${project}.json`), 'utf8'));
    const date = new Date(report.startTime).toISOString().slice(0, 10);
    for (const { name: file, assertionResults, status } of report.testResults) {
      const suite = known.find(
        (one) => one.project === project && new RegExp(one.pattern).test(file),
      );
      if (suite === undefined) continue;
      const outcome = (outcomes[suite.name] ??= { date, passed: 0, failed: 0 });
      const count = (/** @type {string} */ wanted) =>
        assertionResults.filter((/** @type {{status: string}} */ one) => one.status === wanted)
          .length;
      outcome.passed += count('passed');
      // A file that does not even load has no tests to count.
      outcome.failed += Math.max(count('failed'), status === 'failed' ? 1 : 0);
    }
  }
  for (const [suite, outcome] of Object.entries(outcomes)) {
    await keep(system.name, { version, machine }, suite, outcome);
  }
}

function today() {
  return new Date().toISOString().slice(0, 10);
}

/** @param {Outcome | undefined} outcome */
function cell(outcome) {
  if (outcome === undefined) return '';
  const { date, passed, failed, note } = outcome;
  const counts = failed > 0 ? `${failed} FAILED of ${failed + passed}` : `${passed} passed`;
  return `${note ?? counts}, ${date}`;
}

/**
 * @param {Record<string, Column>} columns
 * @param {readonly Suite[]} suites
 */
function table(columns, suites) {
  const names = VERSIONS.map(({ name }) => name).filter((name) => columns[name] !== undefined);
  const rows = suites.map(({ name }) => [
    name,
    ...names.map((version) => cell(columns[version]?.suites[name])),
  ]);
  const heads = names.map(
    (name) => `${name}: ${columns[name]?.version}, ${columns[name]?.machine}`,
  );
  const lines = [['suite', ...heads], ['---', ...heads.map(() => '---')], ...rows];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** @param {string} rows */
async function writePage(rows) {
  const [begin = '', end = ''] = MARKS;
  const page = await readFile(PAGE, 'utf8');
  const [before, rest = ''] = page.split(begin);
  const after = rest.split(end)[1];
  await writeFile(PAGE, `${before}${begin}\n\n${rows}\n\n${end}${after}`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function usage(message) {
  console.error(message);
  process.exit(2);
}

/**
 * @param {string} what
 * @param {readonly string[]} wanted
 * @param {readonly {name: string}[]} all
 */
function expectKnown(what, wanted, all) {
  const names = all.map(({ name }) => name);
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) usage(`no ${what} ${unknown.join(', ')}; there are ${names.join(', ')}`);
}

/**
 * @param {readonly string[]} list
 * @param {{name: string}} one
 */
function isWanted(list, { name }) {
  return list.length === 0 || list.includes(name);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    version: { type: 'string', multiple: true, default: [] },
    since: { type: 'string' },
    page: { type: 'boolean' },
    reports: { type: 'string' },
  },
});
const known = await allSuites();
expectKnown('version', values.version, VERSIONS);
expectKnown('suite', positionals, [...known, REFUSED]);

/** @type {Record<string, Column>} */
const columns = JSON.parse(await readFile(RESULTS, 'utf8'));

/**
 * @param {Version} version
 * @returns {Suite[]}
 */
function due(version) {
  const { suites = {} } = columns[version.name] ?? {};
  const hasPassed = (/** @type {Suite} */ { name }) => {
    const { date = '', failed = 1 } = suites[name] ?? {};
    return values.since !== undefined && failed === 0 && date >= values.since;
  };
  return (version.refused ? [REFUSED] : known).filter(
    (one) => isWanted(positionals, one) && !version.without?.includes(one.name) && !hasPassed(one),
  );
}

const folder = await mkdtemp(path.join(tmpdir(), 'gannet-matrix-'));
let failed = 0;

/**
 * Keeps the outcome of a suite. Another run may have added to the file: it is read again.
 *
 * @param {string} name
 * @param {Omit<Column, 'suites'>} prepared
 * @param {string} suite
 * @param {Outcome} outcome
 */
async function keep(name, { version, machine }, suite, outcome) {
  Object.assign(columns, JSON.parse(await readFile(RESULTS, 'utf8')));
  const { suites = {} } = columns[name] ?? {};
  columns[name] = { version, machine, suites: { ...suites, [suite]: outcome } };
  await writeFile(RESULTS, `${JSON.stringify(columns, undefined, 2)}\n`);
}

/** @param {Version} version */
async function runVersion(version) {
  const suites = due(version);
  if (suites.length === 0) return;
  const { env, ...prepared } = await prepare(version);
  for (const suite of suites) {
    console.log(`\n=== ${suite.name}, with QEMU ${prepared.version} (${version.name})`);
    const outcome = await runSuite(suite, env, folder);
    console.log(`${suite.name}: ${cell(outcome)}`);
    failed += outcome.failed;
    await keep(version.name, prepared, suite.name, outcome);
  }
}

if (values.reports !== undefined) await takeReports(values.reports);
const runsNothing = values.page === true || values.reports !== undefined;
const versions = VERSIONS.filter((one) => !runsNothing && isWanted(values.version, one));
for (const version of versions) {
  await runVersion(version).catch((/** @type {unknown} */ error) => {
    console.error(`${version.name}: ${String(error)}`);
    failed++;
  });
}
await rm(folder, { recursive: true, force: true });
const rows = table(columns, [...known, REFUSED]);
await writePage(rows);
console.log(`\n${rows}`);
process.exitCode = failed > 0 ? 1 : 0;
