// A real pair of VMs, whose daemons and commands are those of a Debian package in another root:
// protected, upgraded, looked at, failed over.
//
//   node scripts/test-deb-upgrade.mjs ROOT NEXT.deb
//
// NEXT.deb is a path in ROOT. QEMU and its guest are this machine's; ROOT shares its /tmp, /proc
// and /dev. The caller's mount namespace is this program's own.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findGuest, LabPair } from '@gannet/lab';

const [root = '', next = ''] = process.argv.slice(2);
const folder = mkdtempSync(path.join(tmpdir(), 'gannet-deb-'));
// The lab starts `node BIN ARGS`. With the process that it kills, the daemon ends too.
const bin = path.join(folder, 'gannet.cjs');
writeFileSync(
  bin,
  `const { spawn } = require('node:child_process');
  const inside = ['--pdeathsig', 'KILL', 'chroot', ${JSON.stringify(root)}, '/usr/bin/gannet'];
  const child = spawn('setpriv', [...inside, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('exit', (code) => process.exit(code ?? 1));`,
);
/** @param {string[]} command */
const inside = (...command) =>
  execFileSync('chroot', [root, ...command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
/** @param {string} text */
const step = (text) => console.log(`deb: ${text}`);
/** @param {number | undefined} pid */
const startOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return fields[19];
};

const pair = await LabPair.create({ guest: await findGuest(), periodMs: 1000, fillMb: 8, bin });
try {
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  await pair.protect();
  await pair.waitForCommits(3);
  const { primaryDaemon, secondaryDaemon } = pair;
  const pids = [primaryDaemon.pid, secondaryDaemon.pid];
  const before = pids.map(startOf);
  const version = inside('gannet', '--version').trim();
  inside('dpkg', '--install', next);
  const upgraded = inside('gannet', '--version').trim();
  if (version === upgraded) throw new Error(`still ${version} after the upgrade`);
  if (pids.map(startOf).join() !== before.join()) throw new Error('the upgrade ended a daemon');
  await pair.waitForCommits(pair.commits.length + 3);
  const status = JSON.parse(
    inside('gannet', 'status', '--json', '--config', primaryDaemon.configPath),
  );
  if (status.health.level !== 'good') throw new Error(status.health.headline);
  step(`upgraded ${version} to ${upgraded} under a protected VM: protected throughout`);
  inside('gannet', 'checkpoint', '--config', primaryDaemon.configPath);
  step('the new command drives the daemons that still run');
  await pair.primary.kill('SIGKILL');
  await pair.failOver();
  const { isClean } = await pair.compare();
  if (!isClean) throw new Error('the survivor has another disk than its guest remembers');
  step('the secondary took over after the upgrade; its disk is what the guest remembers');
} finally {
  await pair.dispose();
  rmSync(folder, { recursive: true });
}
