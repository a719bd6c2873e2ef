// Which devices of QEMU a protected VM can have: each one that QEMU lists is tried. The results are
// kept in test/matrix/devices.json, one set for each version of QEMU that was swept, and
// docs/reference/devices.md is written from them.
//
//   node scripts/sweep-devices.mjs [--resume | --page] [TYPE…]
//
// A VM with the device is started. From the line that is printed for its secondary, a second VM is
// started, the two are compared, and the first is migrated to the second. It takes the QEMU that is
// first in PATH, and about a quarter of an hour. Without types it tries all; with `--resume` those
// that have no result, or a fault; with `--page` none, it only writes the page. For another
// release:
//
//   scripts/fetch-qemu.sh --modules trixie-backports .cache/qemu-11.1-modules
//   PATH=$PWD/.cache/qemu-11.1-modules/bin:$PATH node scripts/sweep-devices.mjs
import { Buffer } from 'node:buffer';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { comparePair, inspectVm, secondaryCommandLine } from '../packages/qmp-driver/dist/index.js';
import { connectWithRetry } from '../packages/qemu-qmp-client/dist/index.js';

const QEMU = 'qemu-system-x86_64';
const root = path.resolve(import.meta.dirname, '..');
const RESULTS = path.join(root, 'test/matrix/devices.json');
const PAGE = path.join(root, 'docs/reference/devices.md');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { resume: { type: 'boolean' }, page: { type: 'boolean' } },
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

/** Without them some releases start no sound device. */
const SOUND = ['-audiodev', 'none,id=a0'];

/**
 * @typedef {'same' | 'refused' | 'not started' | 'fault'} Result
 * @typedef {{ outcome: Result, words?: string }} Row
 */

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
 * @returns {Promise<Row>}
 */
async function tryType(type, nbd) {
  const [, more = '', objects = []] = NEEDS.find(([types]) => types.test(type)) ?? [];
  const isDisk = more.includes('drive=q');
  const device = isDisk ? 'x0' : 'vb0';
  const of = (/** @type {string} */ name) => path.join(folder, name);
  const monitor = ['-S', '-qmp', `unix:${of('p')},server=on,wait=off`];
  const args = [...objects, ...(isDisk ? [] : VB0), '-device', `${type},id=x0${more}`];
  const withSound = [...SOUND, ...args.with(-1, `${args.at(-1)},audiodev=a0`)];
  /** @param {readonly string[]} own */
  const startPrimary = (own) => start([QEMU, ...MACHINE, ...monitor, ...own], of('p'));
  /** @type {import('../packages/qemu-qmp-client/dist/index.js').QmpClient} */
  let primary;
  try {
    primary = await startPrimary(args).catch((/** @type {Error} */ error) => {
      if (!/audio/.test(error.message)) throw error;
      return startPrimary(withSound);
    });
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
  return { outcome: 'same' };
}

/**
 * Types by version.
 *
 * @type {Record<string, Record<string, Row>>}
 */
const results = JSON.parse(readFileSync(RESULTS, 'utf8'));

/** @param {string} version */
async function sweep(version) {
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
  const all = [...help.matchAll(/name "([^"]+)"/g)].map(([, name]) => name ?? '').sort();
  const own = (results[version] ??= {});
  const isOpen = (/** @type {string} */ type) => (own[type]?.outcome ?? 'fault') === 'fault';
  const due = values.resume ? all.filter(isOpen) : all;
  for (const type of new Set(positionals.length > 0 ? positionals : due)) {
    const row = await tryType(type, nbd).catch((/** @type {unknown} */ error) => ({
      outcome: /** @type {const} */ ('fault'),
      words: `${String(error)} ${lastWords}`,
    }));
    for (const child of running.splice(1)) await end(child);
    const words = row.words?.replaceAll(folder, '').trim();
    own[type] = { outcome: row.outcome, ...(words && { words }) };
    process.stdout.write(`${type}: ${row.outcome} ${words ?? ''}\n`);
    const sorted = Object.entries(own).sort(([a], [b]) => (a < b ? -1 : 1));
    results[version] = Object.fromEntries(sorted);
    writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  }
  for (const child of running) await end(child);
  return Object.values(own).filter(({ outcome }) => outcome === 'fault').length;
}

/** @type {Record<Result, string>} */
const OUTCOMES = {
  same: 'same: the second VM took over the state of the first',
  refused: 'refused with a finding, before anything is copied',
  'not started': 'not tried: QEMU did not start with it here',
  fault: 'fault',
};

function page() {
  const versions = Object.keys(results);
  const types = [...new Set(Object.values(results).flatMap((rows) => Object.keys(rows)))].sort();
  const row = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const head = (/** @type {string} */ first) => [
    row([first, ...versions]),
    row(['---', ...versions.map(() => '---')]),
  ];
  const count = (/** @type {string} */ version, /** @type {string} */ wanted) =>
    Object.values(results[version] ?? {}).filter(({ outcome }) => outcome === wanted).length;
  const counts = Object.entries(OUTCOMES).map(([outcome, words]) =>
    row([words, ...versions.map((version) => String(count(version, outcome)))]),
  );
  const of = (/** @type {string} */ type) => versions.map((version) => results[version]?.[type]);
  const isTried = (/** @type {Row | undefined} */ one) =>
    (one?.outcome ?? 'not started') !== 'not started';
  const tried = types.filter((type) => of(type).some(isTried));
  const tell = (/** @type {Row | undefined} */ one) => {
    if (one === undefined) return 'no such device';
    if (one.outcome === 'same') return 'same';
    return `${one.outcome}: ${one.words ?? ''}`;
  };
  const rows = tried.map((type) => row([`\`${type}\``, ...of(type).map(tell)]));
  const untried = types.filter((type) => !tried.includes(type));
  const said = (/** @type {string} */ type) =>
    of(type).map((one) => one?.words ?? 'no such device');
  const models = untried.filter((type) => type.endsWith('-cpu')).length;
  const otherRows = untried
    .filter((type) => !type.endsWith('-cpu'))
    .map((type) => row([`\`${type}\``, ...said(type)]));
  return `# Devices

Written by \`node scripts/sweep-devices.mjs\`, with the versions of QEMU in the heads of the tables,
machine \`pc\`, TCG. Each device that QEMU lists was added to a VM. A second VM was started from the
line that \`gannet check --print-secondary\` derives, the two were compared, and the first was
migrated to the second.

${head('Outcome').join('\n')}
${counts.join('\n')}

## Tried

${head('Device').join('\n')}
${rows.join('\n')}

## Not tried

These need another machine, a bus or a back end of the host, or cannot be added by a user. The table
has what QEMU says. ${models} models of processors are left out: QEMU adds only the one that the VM
has.

${head('Device').join('\n')}
${otherRows.join('\n')}
`;
}

if (!values.page) {
  const said = execFileSync(QEMU, ['--version'], { encoding: 'utf8' });
  const faults = await sweep(/version (\d+\.\d+\.\d+)/.exec(said)?.[1] ?? '?');
  process.exitCode = faults === 0 ? 0 : 1;
}
rmSync(folder, { recursive: true });
writeFileSync(PAGE, page());
