// One host: its power, its disk, its processes as /proc shows them, its QEMU and its daemon. Node's
// files, sockets and child processes are replaced, once, by those of the host whose callback runs.

import childProcess from 'node:child_process';
import { EventEmitter } from 'node:events';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import { Duplex, PassThrough } from 'node:stream';
import type { Random } from '@gannet/test-support/random.js';
import { type DiskFaults, installDisk, mount, SimulatedDisk } from '../disk.js';
import type { RoleName } from './daemon-run.js';
import type { HostName } from './network.js';
import type { WebSocketServer } from './peer-socket.js';
import type { SimulatedQemu, Written } from './vm/qemu.js';
import type { SimulatedReplica } from './vm/replica.js';
import { currentProcess, currentScheduler, type Process, type Scheduler } from './scheduler.js';

const NO_FAULTS: DiskFaults = {
  ...{ errors: 0, shortWrites: 0, latencyMs: 4, lazySync: false },
  ...{ shortIsWhole: false, lossySpill: false, lostRename: false },
};

/** A disk whose operations end by themselves. */
class HostDisk extends SimulatedDisk {
  constructor(
    private readonly time: Scheduler,
    random: Random,
  ) {
    super(time, random, { ...NO_FAULTS });
  }

  override perform<T>(work: () => T, canFail = false): Promise<T> {
    const done = super.perform(work, canFail);
    this.time.after(currentProcess(), this.faults.latencyMs, () => {
      if (this.isReady()) this.deliver();
    });
    return done;
  }
}

/** How a fence command ends. */
export interface FenceRun {
  readonly code: number;
  readonly takesMs: number;
  /** What it does, and when; once it is killed, nothing more. */
  readonly effect: (() => void) | undefined;
  readonly effectMs: number;
}

export class Host {
  readonly disk: HostDisk;
  /** The same host, for the other VM. */
  beside: Host | undefined;
  isPowered = true;
  /** Its daemon. */
  process: Process | undefined;
  server: WebSocketServer | undefined;
  qemu: SimulatedQemu | undefined;
  replica: SimulatedReplica | undefined;
  isGuestsDisk = false;
  /** Its daemon has claimed the VM: the other side gives way, whatever comes of it. */
  hasClaimed = false;
  /** It had the primary in the beginning. */
  readonly wasFirst: boolean;
  /** What its daemon is started as. */
  role: RoleName;
  /** As a secondary's daemon is started once, on the disks of an old primary: `--overwrite`. */
  mayOverwrite = false;
  /** What a QEMU that boots from its disk finds. */
  stored: Written | undefined;
  /** Decides how a fence that is started here ends. */
  onFence: (target: string) => FenceRun = () => {
    throw new Error('no fence is to be expected');
  };

  constructor(
    readonly name: HostName,
    time: Scheduler,
    random: Random,
    readonly vm = 'web',
    first: RoleName = name === 'a' ? 'primary' : 'secondary',
  ) {
    this.disk = new HostDisk(time, random);
    this.role = first;
    this.wasFirst = first === 'primary';
  }

  get qmpPath(): string {
    return this.vm === 'web' ? '/sim/qmp' : `/sim/${this.vm}.qmp`;
  }

  readonly enter = (): void => enter(this);

  get qemus(): readonly SimulatedQemu[] {
    return this.qemu?.isAlive === true ? [this.qemu] : [];
  }
}

let current: Host | undefined;

function enter(host: Host): void {
  current = host;
  mount(host.disk);
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

function inodeOf({ pid }: SimulatedQemu): number {
  return 10 * pid;
}

/** All QEMUs of the host. */
function running(): readonly SimulatedQemu[] {
  return [...(current?.qemus ?? []), ...(current?.beside?.qemus ?? [])];
}

function readProc(file: string): string {
  if (file === '/proc/self/net/unix') {
    const listed = [current, current?.beside].flatMap((host) =>
      (host?.qemus ?? []).map((one) => {
        return `0: 2 0 00010000 0001 01 ${inodeOf(one)} ${host?.qmpPath ?? ''}\n`;
      }),
    );
    return listed.join('');
  }
  const qemu = running().find(({ pid }) => file === `/proc/${pid}/stat`);
  if (!qemu) throw systemError('ENOENT');
  const rest = Array.from({ length: 18 }, () => '0').join(' ');
  return `${qemu.pid} (qemu) S ${rest} ${qemu.pid} 0`;
}

function listProc(folder: string): string[] {
  const qemus = running();
  if (folder === '/proc') return qemus.map(({ pid }) => String(pid));
  if (qemus.some(({ pid }) => folder === `/proc/${pid}/fd`)) return ['9'];
  throw systemError('ENOENT');
}

function linkInProc(link: string): string {
  for (const qemu of running()) {
    if (link === `/proc/${qemu.pid}/exe`) return '/usr/bin/qemu-system-x86_64';
    if (link === `/proc/${qemu.pid}/fd/9`) return `socket:[${inodeOf(qemu)}]`;
  }
  throw systemError('ENOENT');
}

function connect(): Duplex {
  const process = currentProcess();
  const qemu = current?.qemu;
  if (qemu?.isAlive === true) return qemu.connect(process);
  const nobody = new Duplex({ read: () => undefined, write: (_c, _e, done) => done() });
  currentScheduler().after(process, 0, () => {
    if (!nobody.destroyed) nobody.emit('error', systemError('ECONNREFUSED'));
  });
  return nobody;
}

/** Above any process of this machine. */
let nextPid = 2 ** 30;
const kills = new Map<number, () => void>();

/** The only program that a daemon starts: its fence. */
function spawn(_program: string, _given: string[], options: { env: NodeJS.ProcessEnv }): object {
  const time = currentScheduler();
  const process = currentProcess();
  const { code, takesMs, effect, effectMs } = (current as Host).onFence(
    options.env['GANNET_FENCE'] ?? '',
  );
  const pid = nextPid++;
  let isKilled = false;
  kills.set(pid, () => (isKilled = true));
  const child = Object.assign(new EventEmitter(), {
    pid,
    stdout: new PassThrough(),
    stderr: new PassThrough(),
  });
  time.later(effectMs, () => {
    if (!isKilled) effect?.();
  });
  time.after(process, takesMs, () => {
    kills.delete(pid);
    if (isKilled) return;
    child.emit('exit', code, null);
    child.emit('close');
  });
  return child;
}

/** Node's own ones are gone from here on, for this process. */
export function installHosts(): void {
  installDisk();
  const { readFile } = fs;
  const proc =
    <T>(read: (path: string) => T) =>
    (path: unknown): Promise<T> =>
      new Promise((resolve) => resolve(read(String(path))));
  Object.assign(fs, {
    readFile: (path: string, how?: BufferEncoding) =>
      current && path.startsWith('/proc/') ? proc(readProc)(path) : readFile(path, how),
    readdir: proc(listProc),
    readlink: proc(linkInProc),
    realpath: (path: string) => Promise.resolve(path),
    stat: () => Promise.resolve({ isBlockDevice: () => false }),
  });
  const kill = process.kill.bind(process);
  Object.assign(process, {
    kill: (pid: number, signal?: string | number) => {
      const end = kills.get(-pid);
      if (!end) return kill(pid, signal);
      end();
      return true;
    },
  });
  Object.assign(os, { hostname: () => `host-${current?.name ?? 'none'}` });
  Object.assign(net, { connect });
  Object.assign(childProcess, { spawn });
  syncBuiltinESMExports();
}
