import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findGuest, GANNET_BIN, LabDaemon, LabVm, OracleLog, primaryCommand } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

const MIB = 1024 * 1024;
const DISK_BYTES = 64 * MIB;
const BIN = GANNET_BIN;

interface Finding {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly why: string;
  readonly remedy: string;
  readonly device?: string;
}

let dir: string;
let cleanups: (() => Promise<unknown>)[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-check-'));
  cleanups = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

function at(name: string): string {
  return path.join(dir, name);
}

function gannet(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

async function check(): Promise<{ code: number; findings: readonly Finding[] }> {
  const { code, stdout } = await gannet('check', '-c', at('primary.yaml'), '--json');
  return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

function namesOf(findings: readonly Finding[], severity?: string): string[] {
  return findings
    .filter((one) => severity === undefined || one.severity === severity)
    .map(({ code, device }) => [code, device].join(' ').trim());
}

function primaryConfig(devices: readonly string[], folder = ''): { control: string } {
  return {
    vm: 'lab',
    control: at('primary.ctl'),
    qmp: `unix:${at('pvm/qmp1.sock')}`,
    disks: devices.map((device, index) => ({ name: `disk${index}`, device })),
    primary: {
      nbd: `unix:${at(path.join(folder, 'replica.nbd'))}`,
      migrate: `unix:${at(path.join(folder, 'incoming.sock'))}`,
      peer: `unix:${at('peer.sock')}`,
      checkpointPeriodMs: 700,
    },
  } as { control: string };
}

/** @param folder where the sockets of its QEMU go */
async function startSecondaryDaemon(
  sizes: readonly number[],
  { folder = '' } = {},
): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({
    role: 'secondary',
    dir,
    config: {
      vm: 'lab',
      control: at('secondary.ctl'),
      qmp: `unix:${at(path.join(folder, 'svm.qmp'))}`,
      disks: sizes.map((size, index) => {
        return { name: `disk${index}`, device: `vb${index}`, base: at(`b${index}`), size };
      }),
      secondary: {
        nbd: `unix:${at(path.join(folder, 'replica.nbd'))}`,
        peer: `unix:${at('peer.sock')}`,
      },
    },
  });
  cleanups.push(() => daemon.kill());
  return daemon;
}

/** Dies with this process, whatever becomes of it. */
function run(command: readonly string[], preload?: string): ChildProcess {
  const env = preload === undefined ? process.env : { ...process.env, LD_PRELOAD: preload };
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { env, stdio: 'inherit' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

async function until(what: string, isSo: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await sleep(20);
  }
}

function hasVm(daemon: LabDaemon): boolean {
  return daemon.eventsOf('vm').some(({ state }) => state === 'ready');
}

describe('gannet check', () => {
  it("prints a secondary's command line that a primary can be protected with", async () => {
    const guest = await findGuest();
    // The printed line goes through a shell, and then through QEMU, which splits options at commas.
    const oddName = `it's "web", $HOME \\ \`1\``;
    const odd = `it's a "VM", $1`;
    await mkdir(at(odd));
    const image = at(`${odd}/disk, "1".raw`);
    await writeFile(image, '');
    await truncate(image, DISK_BYTES);
    // More than the disk: names, places and properties that have to be carried over.
    const extraArgs = [
      ...[
        '-object',
        'iothread,id=io0',
        '-device',
        'virtio-scsi-pci,id=scsi0,addr=0x9,iothread=io0',
      ],
      ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,mac=52:54:00:0a:0b:0c'],
      ...['-device', 'VGA,addr=0xb', '-uuid', '2d0b2f0c-6d3f-4a3a-9d0d-0f2d3c1b5a6e'],
      ...['-name', `guest=${oddName.replaceAll(',', ',,')}`],
    ];
    const primary = await LabVm.start({
      name: 'pvm',
      dir,
      ...primaryCommand({ guest, extraArgs }, [{ path: image }]),
    });
    cleanups.push(() => primary.dispose());
    const secondaryDaemon = await startSecondaryDaemon([DISK_BYTES], { folder: odd });
    const primaryDaemon = await LabDaemon.start({
      role: 'primary',
      dir,
      config: primaryConfig(['vb0'], odd),
    });
    cleanups.push(() => primaryDaemon.kill());
    await until('the primary VM', () => hasVm(primaryDaemon));

    const printing = ['check', '-c', at('primary.yaml'), '--print-secondary'];
    const printed = await gannet(...printing);
    expect(printed.stderr).toContain('network-doubled (net0)');
    expect(printed.code).toBe(3);
    // As a person would: the very text, through a shell, with the shim in the environment.
    run(['sh', '-c', `exec ${printed.stdout}`], guest.shim);
    await until('the secondary VM', () => hasVm(secondaryDaemon));
    const other = { kind: 'unix', path: at(`${odd}/svm.qmp.2`) } as const;
    const qmp = await QmpClient.connect({ target: other });
    expect(await qmp.execute('query-name')).toEqual({ name: oddName });
    await qmp.close();
    const oracle = OracleLog.detached();
    const console = connect(at(`${odd}/console.sock`));
    console.setEncoding('latin1').on('data', (text: string) => oracle.feed(text));
    cleanups.push(() => Promise.resolve(console.destroy()));

    await primary.oracle.waitForStart(4, { signal: primary.gone });
    const before = await check();
    expect(namesOf(before.findings, 'error')).toEqual([]);
    expect(namesOf(before.findings, 'warning')).toEqual([]);
    expect(before.code).toBe(0);

    await primaryDaemon.client.call('protect');
    await until('3 checkpoints', () => secondaryDaemon.eventsOf('commit').length > 3);
    const writes = oracle.writes;
    await until('the secondary to write', () => oracle.writes > writes);
    expect(secondaryDaemon.eventsOf('diverged')).toEqual([]);
    for (const one of [primary.oracle, oracle]) {
      expect(one.mismatches).toEqual([]);
      expect(one.errors).toEqual([]);
      expect(one.sawBad).toBe(false);
    }
    const after = await check();
    expect(namesOf(after.findings)).toContain('already-protected');
    expect(after.code).toBe(0);
    expect(secondaryDaemon.eventsOf('diverged')).toEqual([]);
  });

  it('finds what is in the way, also without a daemon beside the primary', async () => {
    for (const [name, bytes] of [
      ['d0', DISK_BYTES],
      ['d1', DISK_BYTES],
      ['target', DISK_BYTES],
    ] as const) {
      await writeFile(at(name), Buffer.alloc(MIB, 1));
      await truncate(at(name), bytes);
    }
    const file = (name: string): string[] => [
      '-blockdev',
      `driver=raw,node-name=${name},file.driver=file,file.filename=${at(name)}`,
    ];
    const primary = await LabVm.start({
      name: 'pvm',
      dir,
      args: [
        ...['-machine', 'q35,accel=tcg', '-cpu', 'max', '-m', '64', '-S'],
        ...[...file('d0'), ...file('d1'), ...file('target')],
        ...['-blockdev', 'driver=quorum,node-name=q0,children.0=d0,vote-threshold=1'],
        ...['-object', 'iothread,id=io0'],
        ...['-device', 'virtio-blk-pci,id=vb0,drive=q0,addr=0x4,iothread=io0'],
        ...['-device', 'virtio-blk-pci,id=vb1,drive=d1,addr=0x5'],
      ],
    });
    cleanups.push(() => primary.dispose());
    const qmp = await QmpClient.connect({ target: { kind: 'unix', path: primary.qmpPaths[0] } });
    cleanups.push(() => qmp.close());
    const job = { 'job-id': 'mine', device: 'd1', target: 'target', sync: 'full', speed: 1 };
    await qmp.executeRaw('blockdev-mirror', job);

    const daemon = await startSecondaryDaemon([32 * MIB, DISK_BYTES]);
    const nbd = `driver=nbd,server.type=unix,server.path=${at('replica.nbd')}`;
    run([
      'qemu-system-x86_64',
      ...['-machine', 'pc,accel=tcg', '-cpu', 'qemu64', '-m', '96', '-S'],
      ...['-nodefaults', '-display', 'none', '-qmp', `unix:${at('svm.qmp')},server=on,wait=off`],
      ...['-blockdev', `${nbd},node-name=n0,export=disk0-svm`],
      ...['-device', 'virtio-blk-pci,id=vb0,drive=n0,addr=0x6'],
      ...['-blockdev', `driver=null-co,node-name=n1,size=${DISK_BYTES}`],
      ...['-device', 'virtio-blk-pci,id=vb1,drive=n1,addr=0x5'],
    ]);
    await until('the secondary VM', () => hasVm(daemon));
    await writeFile(at('primary.yaml'), JSON.stringify(primaryConfig(['vb0', 'vb1'])));

    const { code, findings } = await check();
    expect(code).toBe(1);
    for (const { why, remedy } of findings) expect([why, remedy]).not.toContain('');
    const errors = namesOf(findings, 'error');
    for (const wanted of [
      ...[
        'not-running',
        'quorum-in-iothread vb0',
        'job-in-the-way vb1',
        'no-quorum vb1',
        'tcg-cpu-max',
        ...(qmp.version.major < 11 ? ['tcg-q35'] : []),
      ],
      ...['secondary-not-incoming', 'machine-differs', 'cpu-differs', 'memory-differs'],
      ...['disk-size-differs vb0', 'replica-not-used vb1', 'device-differs vb0'],
      ...['address-unreachable primary.migrate', 'tcg-without-shim'],
    ]) {
      expect(errors).toContain(wanted);
    }
    expect(namesOf(findings, 'info')).toContain('no-second-monitor');
    const { stdout } = await gannet('check', '-c', at('primary.yaml'));
    expect(stdout).toMatch(/tcg-cpu-max: .*\n {6}why: .*\n {6}do: {2}Use a named model/);
  });
});
