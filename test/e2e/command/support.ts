/** What tests of the commands share: a folder, commands that run in it, and what they leave. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { findGuest, LabDaemon, LabPair, type LabPairOptions, LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

const PACKAGES = path.resolve(import.meta.dirname, '../../../packages');
const BIN = path.join(PACKAGES, 'gannet/dist/bin.js');
export const DEMO = path.join(PACKAGES, 'lab/dist/demo/main.js');
export const MIB = 1024 * 1024;

export type Json = Record<string, unknown>;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Of a command with --json. */
  readonly json: Json;
}

/** A new folder for each test: where its configurations, sockets and bases are. */
export let dir: string;
let undo: (() => unknown)[] = [];

/** To be undone after the test, the last one first. */
export function undoAfter(step: () => unknown): void {
  undo.push(step);
}

/** Each test of the file that calls this has its folder, and leaves nothing behind. */
export function inFreshFolder(): void {
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-command-'));
    undo = [() => rm(dir, { recursive: true, force: true })];
  });
  afterEach(async () => {
    for (const step of undo.reverse()) await step();
  });
}

interface CommandOptions {
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly detached?: boolean;
}

export class Command {
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(args: readonly string[], { program = BIN, ...options }: CommandOptions) {
    const command = ['--pdeathsig', 'KILL', process.execPath, program, ...args];
    const places = { GANNET_RUN_DIR: dir, GANNET_STATE_DIR: dir };
    this.child = spawn('setpriv', command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: { ...process.env, ...places, ...options.env },
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
  }

  async outcome(): Promise<Outcome> {
    const code = await this.exited;
    const { stdout, stderr } = this;
    const json = (stdout.startsWith('{') ? JSON.parse(stdout) : {}) as Json;
    return { code, stdout, stderr, json };
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** As a terminal does for its foreground. */
  signalGroup(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }
}

export function start(args: readonly string[], options: CommandOptions = {}): Command {
  const command = new Command(args, options);
  undoAfter(async () => {
    command.signal('SIGKILL');
    await command.exited;
  });
  return command;
}

export const gannet = (...args: string[]): Promise<Outcome> => start([...args, '--json']).outcome();
export const errorOf = ({ json }: Outcome): Json => (json['error'] ?? {}) as Json;

/**
 * Progress with --json: a line of JSON each, beside the result. The stages that it told of, in
 * order.
 */
export function stagesOf({ stderr }: Outcome): string[] {
  const lines = stderr.split('\n').filter((line) => line !== '');
  return [...new Set(lines.map((line) => (JSON.parse(line) as { stage: string }).stage))];
}

/** Longer than anything here takes: a wait that fails says what it saw. */
const PATIENCE_MS = 60_000;

export const { until } = waiting({ patienceMs: PATIENCE_MS });

export async function makePair(options: Omit<LabPairOptions, 'guest'>): Promise<LabPair> {
  const pair = await LabPair.create({ guest: await findGuest(), ...options });
  undoAfter(() => pair.dispose());
  return pair;
}

export async function startDaemon(
  role: 'primary' | 'secondary',
  where: string,
  config: Json & { control: string },
): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({ role, dir: where, config });
  undoAfter(() => daemon.kill('SIGKILL'));
  return daemon;
}

export const diskOf = (changes: Json = {}): Json => ({
  ...{ name: 'disk0', device: 'vb0', base: path.join(dir, 'base0.raw'), size: MIB },
  ...changes,
});

export function secondaryConfig(disk: Json, section: Json = {}): Json & { control: string } {
  return {
    vm: 'lab',
    control: path.join(dir, 'secondary.ctl'),
    qmp: `unix:${path.join(dir, 'svm', 'qmp1.sock')}`,
    disks: [disk],
    secondary: { nbd: `unix:${path.join(dir, 'replica.nbd')}`, ...section },
  };
}

export async function writeConfig(config: Json): Promise<string> {
  const file = path.join(dir, 'lab.yaml');
  await writeFile(file, JSON.stringify(config)); // which is YAML
  return file;
}

export async function image(file: string, bytes: number, data = Buffer.alloc(0)): Promise<string> {
  const target = path.join(dir, file);
  await writeFile(target, data);
  await truncate(target, bytes);
  return target;
}

/** What is left in a folder of sockets, those in the making included. */
export async function socketsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true });
  return names
    .filter((entry) => entry.isSocket() || /^\.\w{6}$/.test(entry.name))
    .map(({ name }) => name);
}

/** Processes that have the text in their command line. */
export async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(text)) found.push(`${pid} ${line.replaceAll('\0', ' ')}`);
  }
  return found;
}

/** The primary's block layer, as QEMU tells it: nodes, what uses them, jobs. */
export async function graphOf(vm: LabVm): Promise<unknown> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', {});
    const graph = await qmp.execute('x-debug-query-block-graph', {});
    const jobs = await qmp.execute('query-block-jobs', {});
    const { status } = await qmp.execute('query-status', {});
    return { nodes: nodes.map((node) => node['node-name']).sort(), graph, jobs, status };
  } finally {
    await qmp.close();
  }
}

export async function expectGuestWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}
