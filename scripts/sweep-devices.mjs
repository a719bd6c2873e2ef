// Which devices of QEMU a protected VM can have: each one that QEMU lists is tried, and the result
// is written as docs/reference/devices.md.
//
//   node scripts/sweep-devices.mjs [--out FILE] [TYPE…]
//
// A VM with the device is started. From the line that is printed for its secondary, a second VM is
// started, the two are compared, and the first is migrated to the second. It needs QEMU, and takes
// about a quarter of an hour. Without types it tries all.
import { Buffer } from 'node:buffer';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { comparePair, inspectVm, secondaryCommandLine } from '../packages/qmp-driver/dist/index.js';
import { connectWithRetry } from '../packages/qemu-qmp-client/dist/index.js';

const QEMU = 'qemu-system-x86_64';
const root = path.resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string', default: path.join(root, 'docs/reference/devices.md') } },
});

const folder = mkdtempSync(path.join(tmpdir(), 'sweep-'));
const disk = path.join(folder, 'disk.raw');
/** Buses and back ends that devices want. */
const MACHINE = [
  ...['-machine', 'pc,accel=tcg,usb=on', '-cpu', 'qemu64', '-nodefaults', '-display', 'none'],
  ...['-m', '64,slots=4,maxmem=1G', '-smp', '1,maxcpus=2,sockets=2'],
  ...['-device', 'virtio-scsi-pci', '-device', 'virtio-serial-pci', '-device', 'usb-ccid'],
  ...[
    '-device',
    'intel-hda',
    '-blockdev',
    `driver=raw,node-name=d,file.driver=file,file.filename=${disk}`,
  ],
  ...['-blockdev', 'driver=quorum,node-name=q,children.0=d,vote-threshold=1,read-pattern=fifo'],
];
const VB0 = ['-device', 'virtio-blk-pci,id=vb0,drive=q'];
const MEMORY = ['-object', 'memory-backend-ram,id=m0,size=64M'];
const NIC = ['-netdev', 'user,id=n0'];
/**
 * What a type is given besides its name; the protected disk where it is one.
 *
 * @type {readonly (readonly [RegExp, string, readonly string[]])[]}
 */
const NEEDS = [
  [/^(virtio-blk-pci.*|(ide|scsi|usb)-(hd|storage)|scsi-disk)$/, ',drive=q', []],
  [/^nvme$/, ',serial=1,drive=q', []],
  [
    /^(e1000|e1000e|e1000-.*|i825.*|ne2k_.*|pcnet|rtl8139|tulip|vmxnet3|usb-net|virtio-net-pci.*)$/,
    ',netdev=n0',
    NIC,
  ],
  [/^(pc-dimm|nvdimm|virtio-mem-pci|virtio-pmem-pci|ivshmem-plain)$/, ',memdev=m0', MEMORY],
  [/-x86_64-cpu$/, ',socket-id=1,core-id=0,thread-id=0', []],
  [
    /^(isa-ipmi-(bt|kcs)|pci-ipmi-(bt|kcs)|smbus-ipmi)$/,
    ',bmc=b0',
    ['-device', 'ipmi-bmc-sim,id=b0'],
  ],
  [
    /^(virt(serialport|console)|isa-(serial|parallel|debugcon)|pci-serial|ccid-card-passthru)$/,
    ',chardev=c0',
    ['-chardev', 'null,id=c0'],
  ],
  [/^virtio-rng-pci/, ',rng=r0', ['-object', 'rng-builtin,id=r0']],
  [/^virtio-crypto-pci/, ',cryptodev=y0', ['-object', 'cryptodev-backend-builtin,id=y0']],
];

/** @type {import('node:child_process').ChildProcess[]} */
const running = [];

/** Of the QEMU that said something last. */
let lastWords = '';

/** @param {readonly string[]} command */
function run(command) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command]);
  running.push(child);
  const started = { child, stderr: '' };
  child.stderr.on('data', (/** @type {Buffer} */ data) => {
    started.stderr += data.toString();
    lastWords = started.stderr.trim().split('\n').at(-1) ?? '';
  });
  return started;
}

/** @param {import('node:child_process').ChildProcess} child */
async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
}

/**
 * @param {readonly string[]} command
 * @param {string} socket
 */
async function start(command, socket) {
  const started = run(command);
  const ended = new globalThis.AbortController();
  started.child.once('close', () => ended.abort());
  try {
    const target = /** @type {const} */ ({ kind: 'unix', path: socket });
    const { signal } = ended;
    return await connectWithRetry({ target, deadlineMs: 60_000, signal });
  } catch {
    const words = started.stderr.trim().split('\n').at(-1) ?? '';
    throw new Error(words.replace(/^qemu-system-x86_64: (-device \S+: )?/, ''));
  }
}

/**
 * @param {string} type
 * @param {string} nbd
 * @returns {Promise<{ outcome: 'same' | 'refused' | 'not started' | 'fault', words: string }>}
 */
async function tryType(type, nbd) {
  const [, more = '', objects = []] = NEEDS.find(([types]) => types.test(type)) ?? [];
  const isDisk = more.includes('drive=q');
  const device = isDisk ? 'x0' : 'vb0';
  const of = (/** @type {string} */ name) => path.join(folder, name);
  const monitor = ['-S', '-qmp', `unix:${of('p')},server=on,wait=off`];
  const args = [...objects, ...(isDisk ? [] : VB0), '-device', `${type},id=x0${more}`];
  /** @type {import('../packages/qemu-qmp-client/dist/index.js').QmpClient} */
  let primary;
  try {
    primary = await start([QEMU, ...MACHINE, ...monitor, ...args], of('p'));
  } catch (error) {
    return { outcome: 'not started', words: /** @type {Error} */ (error).message };
  }
  const server = /** @type {const} */ ({ type: 'unix', path: nbd });
  const report = await inspectVm(primary);
  const { command, findings } = secondaryCommandLine(report, {
    server,
    disks: [{ device, export: 'svm' }],
    incoming: `unix:${of('mig')}`,
    qmp: [`unix:${of('s')}`],
    socketFolder: folder,
  });
  const link = /** @type {const} */ ({ device, link: 'mirror', server, export: 'pvm', id: 'd' });
  const pairs = [{ link, secondary: { export: 'svm' } }];
  const before = [...findings, ...comparePair(report, undefined, pairs)];
  const refusal = before.find(
    ({ severity, code }) => severity === 'error' && code !== 'not-running',
  );
  if (refusal !== undefined) return { outcome: 'refused', words: `\`${refusal.code}\`` };
  let secondary;
  try {
    secondary = await start(command, of('s'));
  } catch (error) {
    return { outcome: 'fault', words: /** @type {Error} */ (error).message };
  }
  const difference = comparePair(report, await inspectVm(secondary), pairs).find(
    ({ severity, code }) => severity === 'error' && code !== 'not-running',
  );
  if (difference !== undefined) return { outcome: 'fault', words: difference.message };
  await primary.execute('migrate', { uri: `unix:${of('mig')}` });
  for (;;) {
    const { status, 'error-desc': reason = '' } = await primary.execute('query-migrate');
    if (status === 'completed') break;
    if (status === 'failed') return { outcome: 'fault', words: `${reason} ${lastWords}` };
    await sleep(20);
  }
  // It loads the state of devices at the end.
  for (;;) {
    const { status } = await secondary.execute('query-status');
    if (status !== 'inmigrate') break;
    await sleep(20);
  }
  return { outcome: 'same', words: '' };
}

writeFileSync(disk, Buffer.alloc(4 << 20));
writeFileSync(`${disk}.svm`, Buffer.alloc(4 << 20));
const nbd = path.join(folder, 'nbd');
run([
  'qemu-storage-daemon',
  ...['--blockdev', `driver=file,node-name=n,filename=${disk}.svm`],
  ...['--nbd-server', `addr.type=unix,addr.path=${nbd},max-connections=0`],
  ...['--export', 'type=nbd,id=e,node-name=n,name=svm,writable=on'],
]);
const help = execFileSync(QEMU, ['-machine', 'pc', '-device', 'help'], { encoding: 'utf8' });
const version = /version (\S+)/.exec(execFileSync(QEMU, ['--version'], { encoding: 'utf8' }))?.[1];
const all = [
  ...new Set([...help.matchAll(/name "([^"]+)"/g)].map(([, name]) => name ?? '')),
].sort();
/** @type {[type: string, outcome: string, words: string][]} */
const rows = [];
for (const type of positionals.length > 0 ? positionals : all) {
  const { outcome, words } = await tryType(type, nbd).catch((/** @type {unknown} */ error) => ({
    outcome: 'fault',
    words: `${String(error)} ${lastWords}`,
  }));
  for (const child of running.splice(1)) await end(child);
  rows.push([type, outcome, words]);
  process.stdout.write(`${type}: ${outcome} ${words}\n`);
}
for (const child of running) await end(child);
rmSync(folder, { recursive: true });

const count = (/** @type {string} */ outcome) => rows.filter(([, one]) => one === outcome).length;
const cells = (/** @type {string} */ text) => text.replaceAll('|', '\\|');
/** @param {string} outcome */
const table = (outcome) =>
  rows
    .filter(([, one]) => one === outcome)
    .map(([type, , words]) => `| \`${type}\` | ${cells(words)} |`);
const faultRows = ['| Device | What happened |', '| --- | --- |', ...table('fault')];
const faults = count('fault') === 0 ? 'None.' : faultRows.join('\n');
const page = `# Devices

Made by \`node scripts/sweep-devices.mjs\` with QEMU ${version}, machine \`pc\`,
TCG. Each device that
QEMU lists was added to a VM. A second VM was started from the line that
\`gannet check --print-secondary\` derives, the two were compared, and the first was migrated to the
second.

| Outcome | Devices |
| --- | ---: |
| same: the second VM took over the state of the first | ${count('same')} |
| refused with a finding, before anything is copied | ${count('refused')} |
| not tried: QEMU did not start with it here | ${count('not started')} |
| fault | ${count('fault')} |

## Same

${rows
  .filter(([, outcome]) => outcome === 'same')
  .map(([type]) => `\`${type}\``)
  .join(', ')}

## Refused

| Device | Finding |
| --- | --- |
${table('refused').join('\n')}

## Faults

${faults}

## Not tried

These need another machine, a bus or a back end of the host, or cannot be added by a user.

| Device | What QEMU says |
| --- | --- |
${table('not started').join('\n')}
`;
writeFileSync(values.out, page);
process.exitCode = count('fault') === 0 ? 0 : 1;
