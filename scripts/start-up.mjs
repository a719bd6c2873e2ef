// How long the command takes to start: node alone, `gannet --version`, and `gannet status` that is
// answered by a daemon, by turns.
//
// usage: node scripts/start-up.mjs [ROUNDS [OTHER/gannet.js...]]
//
// It measures the bundle in packages/gannet/dist, and other bundles to compare it with. Processor
// time is what counts on a machine that has other work. NODE_EXTRA_CA_CERTS is unset: Node.js
// parses the certificates that it names at each start, which takes as long as Node.js itself.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

delete process.env.NODE_EXTRA_CA_CERTS;
const [rounds = '31', ...others] = process.argv.slice(2);
const root = path.resolve(import.meta.dirname, '..');
const gannet = path.join(root, 'packages/gannet');
execFileSync('node', [path.join(gannet, 'scripts/bundle.mjs')]);
const bundles = [path.join(gannet, 'dist/gannet.js'), ...others];

const dir = mkdtempSync(path.join(tmpdir(), 'gannet-start-'));
const config = path.join(dir, 'web.yaml');
writeFileSync(path.join(dir, 'base.raw'), '');
truncateSync(path.join(dir, 'base.raw'), 4 * 1024 * 1024);
writeFileSync(
  config,
  `vm: web
control: ${dir}/web.sock
termFile: ${dir}/web.term.json
qmp: unix:${dir}/qmp.sock
disks: [{ name: disk0, device: vb0, base: ${dir}/base.raw, size: 4 MiB }]
secondary: { nbd: 'unix:${dir}/nbd', peer: 'unix:${dir}/peer', journal: ${dir}/web.journal }
`,
);
const daemon = spawn('node', [path.join(gannet, 'dist/bin.js'), 'secondary', '-c', config], {
  stdio: 'ignore',
});

const commands = [
  ['node alone', '-e', '0'],
  ...bundles.flatMap((file) => [
    [`--version  ${file}`, file, '--version'],
    [`status     ${file}`, file, 'status', '-c', config],
  ]),
].map(([name, ...args]) => ({
  ...{ name, args },
  cpuMs: /** @type {number[]} */ ([]),
  wallMs: /** @type {number[]} */ ([]),
}));

/**
 * Bash has the processor time of a child.
 *
 * @param {string[]} args
 */
function timed(args) {
  const script = 'TIMEFORMAT="%3R %3U %3S"; time node "$@" >/dev/null 2>&1; exit 0';
  const out = execFileSync('bash', ['-c', `exec 2>&1; ${script}`, 'bash', ...args]);
  return String(out)
    .trim()
    .split(' ')
    .map((text) => 1000 * Number(text));
}

/** @param {number[]} values */
const middle = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

try {
  await sleep(3000);
  for (let round = 0; round < Number(rounds); round++) {
    for (const { args, cpuMs, wallMs } of commands) {
      const [wall = NaN, user = NaN, system = NaN] = timed(args);
      wallMs.push(wall);
      cpuMs.push(user + system);
    }
  }
  console.log('processor: median, least   wall: median, least [ms]');
  for (const { name, cpuMs, wallMs } of commands) {
    const figures = [middle(cpuMs), Math.min(...cpuMs), middle(wallMs), Math.min(...wallMs)];
    const [cpu, cpuMin, wall, wallMin] = figures.map((ms) => ms.toFixed(0).padStart(6));
    console.log(`${cpu} ${cpuMin}                ${wall} ${wallMin}          ${name}`);
  }
} finally {
  daemon.kill();
  rmSync(dir, { recursive: true, force: true });
}
