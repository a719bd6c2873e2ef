// Runs every check of the repository in order, and ends with the line "N passed, N failed".
//
//   node scripts/run-tests.mjs [SUITE...]
//
// Lint, which has the links between the pages too, and the type check count as one test each. So
// does, as a failure, a suite that ran no test, ended badly without naming a failed test, or could
// not be run because the type check failed: the others run what it has compiled.
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

const SUITE_TIMEOUT_MS = 40 * 60_000;
const root = path.resolve(import.meta.dirname, '..');

/**
 * @typedef {object} Suite
 * @property {string} name
 * @property {readonly string[]} [npm] script of package.json, with arguments
 * @property {readonly string[]} [jest] arguments of Jest
 * @property {boolean} [needed] the suites after it need it
 * @property {boolean} [counts] the script takes `--json FILE`
 *
 * @typedef {{passed: number, failed: number, skipped: number, note?: string}} Outcome
 * @type {Suite[]}
 */
const SUITES = [
  { name: 'lint', npm: ['lint'] },
  { name: 'check', npm: ['check'], needed: true },
  { name: 'unit', jest: ['--selectProjects', 'unit'] },
  { name: 'sim', npm: ['sim'] },
  { name: 'model', npm: ['model'], counts: true },
  { name: 'interop', jest: ['--selectProjects', 'interop'] },
  { name: 'e2e', jest: ['--selectProjects', 'e2e', '--runInBand'] },
];

/**
 * Streams the output; resolves to whether the script ended well.
 *
 * @param {readonly string[]} args
 * @returns {Promise<boolean>}
 */
function runScript(args) {
  return new Promise((resolve) => {
    const child = spawn('npm', ['run', '--silent', ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: SUITE_TIMEOUT_MS,
    });
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
}

/**
 * @param {readonly string[]} args
 * @param {string} outputFile
 * @returns {Promise<Outcome>}
 */
async function runJest(args, outputFile) {
  const good = await runScript(['jest', '--', ...args, '--json', '--outputFile', outputFile]);
  let report;
  try {
    report = JSON.parse(await readFile(outputFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, note: 'no report' };
  }
  const passed = report.numPassedTests;
  const skipped = report.numPendingTests + report.numTodoTests;
  // A file that does not even load has no tests to count.
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  if (failed > 0) return { passed, failed, skipped };
  if (!good) return { passed, failed: 1, skipped, note: 'ended badly' };
  if (passed === 0) return { passed, failed: 1, skipped, note: 'no test ran' };
  return { passed, failed, skipped };
}

/**
 * A script that takes `--json FILE` and counts for itself.
 *
 * @param {readonly string[]} npm
 * @param {string} file
 * @returns {Promise<Outcome>}
 */
async function runCounting(npm, file) {
  const good = await runScript([...npm, '--', '--json', file]);
  try {
    const { passed, failed } = JSON.parse(await readFile(file, 'utf8'));
    return { passed, failed: failed + (good || failed > 0 ? 0 : 1), skipped: 0 };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, note: 'no report' };
  }
}

/**
 * @param {Suite} suite
 * @param {string} directory
 * @returns {Promise<Outcome>}
 */
async function runSuite({ name, npm = [], jest, counts }, directory) {
  const report = path.join(directory, `${name}.json`);
  if (counts) return runCounting(npm, report);
  if (jest) return runJest(jest, report);
  const good = await runScript(npm);
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0 };
}

/**
 * @param {string} name
 * @param {readonly (string | number)[]} figures passed, failed, skipped, seconds
 */
function row(name, figures, note = '') {
  const columns = figures.map((value) => String(value).padStart(9));
  return `${name.padEnd(9)}${columns.join('')}  ${note}`.trimEnd();
}

const wanted = process.argv.slice(2);
const unheard = wanted.filter((name) => !SUITES.some((suite) => suite.name === name));
if (unheard.length > 0) {
  console.error(
    `no suite ${unheard.join(', ')}; there are ${SUITES.map((s) => s.name).join(', ')}`,
  );
  process.exit(2);
}

const directory = path.join(root, '.cache/reports');
await rm(directory, { recursive: true, force: true });
await mkdir(directory, { recursive: true });
/** @type {string[]} */
const rows = [];
let passed = 0;
let failed = 0;
let blocked = false;
for (const suite of SUITES) {
  if (wanted.length > 0 && !wanted.includes(suite.name)) continue;
  const begun = Date.now();
  console.log(`\n=== ${suite.name}`);
  const result = blocked
    ? { passed: 0, failed: 1, skipped: 0, note: 'not run' }
    : await runSuite(suite, directory);
  if (suite.needed && result.failed > 0) blocked = true;
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  rows.push(row(suite.name, [result.passed, result.failed, result.skipped, seconds], result.note));
  passed += result.passed;
  failed += result.failed;
}

console.log(`\n${row('suite', ['passed', 'failed', 'skipped', 'seconds'])}\n${rows.join('\n')}\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
