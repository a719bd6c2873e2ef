// Runs the tests in which QEMU takes part with each version of QEMU that Gannet claims to work
// with, and prints a table.
//
//   node scripts/matrix.mjs [--version NAME]... [SUITE...]
//
// Versions other than the system's come from Debian's archive (scripts/fetch-qemu.sh): 550 MB in
// .cache, the first time. What a version is, is a folder in front of PATH: all programs of the
// tests, and all that they start, use it. Every version runs every suite: the interop tests of each
// package, and each file of test/e2e that is not about the tests themselves. A version that is to
// be refused runs test/matrix/refused instead. Not part of CI: about 40 minutes.
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const SUITE_TIMEOUT_MS = 30 * 60_000;
const root = path.resolve(import.meta.dirname, '..');
const cache = path.join(root, '.cache');
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
 * @typedef {{failed: number, text: string}} Outcome
 *
 * @typedef {object} Column
 * @property {string} name
 * @property {string} version
 * @property {string} machine
 * @property {Map<string, Outcome>} results
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
    .flatMap((file) => /([^/]+)\.test\.ts$/.exec(file)?.slice(1) ?? [])
    .filter((name) => !NOT_OURS.has(name))
    .sort()
    .map((name) => ({
      name,
      project: name.endsWith('.long') ? 'e2e-long' : 'e2e',
      pattern: `test/e2e/.*/${name}\\.test`,
    }));
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
  const jest = ['run', '--silent', 'jest', '--', ...args, '--json', '--outputFile', outputFile];
  const good = await stream('npm', jest, env);
  const report = await readFile(outputFile, 'utf8').then(JSON.parse, () => undefined);
  await rm(outputFile, { force: true });
  if (report === undefined) return { failed: 1, text: 'no report' };
  const passed = report.numPassedTests;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  if (failed > 0) return { failed, text: `${failed} FAILED of ${failed + passed}` };
  if (!good || passed === 0) return { failed: 1, text: good ? 'no test ran' : 'ended badly' };
  return { failed: 0, text: `${passed} passed` };
}

/**
 * @param {readonly Column[]} columns
 * @param {readonly Suite[]} suites
 */
function printTable(columns, suites) {
  const rows = suites
    .filter(({ name }) => columns.some(({ results }) => results.has(name)))
    .map(({ name }) => [name, ...columns.map(({ results }) => results.get(name)?.text ?? '-')]);
  const heads = columns.map(({ name, version, machine }) => `${name}: ${version}, ${machine}, TCG`);
  const lines = [['suite', ...heads], ['---', ...heads.map(() => '---')], ...rows];
  console.log(`\n${new Date().toISOString().slice(0, 10)}\n`);
  for (const line of lines) console.log(`| ${line.join(' | ')} |`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function usage(message) {
  console.error(message);
  process.exit(2);
}

const known = await allSuites();
/** @type {string[]} */
const wantedVersions = [];
/** @type {string[]} */
const wantedSuites = [];
const words = process.argv.slice(2);
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word !== '--version') wantedSuites.push(word);
  else wantedVersions.push(words.shift() ?? '');
}
expectKnown('version', wantedVersions, VERSIONS);
expectKnown('suite', wantedSuites, [...known, REFUSED]);

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

const folder = await mkdtemp(path.join(tmpdir(), 'gannet-matrix-'));
/** @type {Column[]} */
const columns = [];
let failed = 0;
for (const version of VERSIONS.filter((one) => isWanted(wantedVersions, one))) {
  const suites = (version.refused ? [REFUSED] : known).filter(
    (one) => isWanted(wantedSuites, one) && !version.without?.includes(one.name),
  );
  if (suites.length === 0) continue;
  const prepared = await prepare(version);
  /** @type {Map<string, Outcome>} */
  const results = new Map();
  columns.push({ name: version.name, ...prepared, results });
  for (const suite of suites) {
    console.log(`\n=== ${suite.name}, with QEMU ${prepared.version} (${version.name})`);
    const result = await runSuite(suite, prepared.env, folder);
    results.set(suite.name, result);
    failed += result.failed;
  }
}
await rm(folder, { recursive: true, force: true });
printTable(columns, [...known, REFUSED]);
process.exitCode = failed > 0 ? 1 : 0;
