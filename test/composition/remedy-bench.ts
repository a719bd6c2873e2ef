/** One host with the files of a VM, on which the real command and its daemons run. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '@gannet/contract';
import { Replica } from '@gannet/replicator';

const ROOT = path.resolve(import.meta.dirname, '../..');
const BIN = path.join(ROOT, 'packages/gannet/dist/bin.js');
const DISK_BYTES = 256 * 1024;

export interface Outcome {
  readonly code: number;
  readonly remedy: string;
  readonly output: string;
}

/** One host with its configuration, a base and whatever a case leaves there. */
export class Bench {
  readonly #daemons: ChildProcess[] = [];

  private constructor(private readonly dir: string) {}

  static async make(): Promise<Bench> {
    const bench = new Bench(await mkdtemp(path.join(tmpdir(), 'gannet-remedy-')));
    await bench.configure({});
    return bench;
  }

  at(name: string): string {
    return path.join(this.dir, name);
  }

  async configure(changes: Record<string, unknown>): Promise<void> {
    const at = (name: string): string => this.at(name);
    const document = {
      ...{ vm: 'web', qmp: `unix:${at('qmp')}`, control: at('control'), termFile: at('term') },
      disks: [{ name: 'disk0', device: 'vb0', base: at('base') }],
      secondary: {
        ...{ nbd: `unix:${at('nbd')}`, svm: `unix:${at('svm')}`, peer: `unix:${at('peer')}` },
        journal: at('journal'),
      },
      primary: {
        ...{ nbd: `unix:${at('far-nbd')}`, peer: `unix:${at('far-peer')}` },
        migrate: `unix:${at('far-migrate')}`,
      },
      ...changes,
    };
    // JSON is YAML, too.
    await writeFile(at('web.yaml'), JSON.stringify(document));
  }

  /** As its daemon has left the base: of this VM, or of another. */
  async leave(state: 'failed-over' | 'retired' | 'protected', vm = 'web'): Promise<void> {
    const disks = [{ name: 'disk0', base: this.at('base'), sizeBytes: DISK_BYTES }];
    const replica = await Replica.open({ vm, disks, journalPath: this.at('journal') });
    for (const name of ['pvm', 'svm']) {
      void replica.exports.find((one) => one.name === name)?.open({ id: 1, address: 'test' });
    }
    const step = (what: 'commit' | 'failOver'): void => {
      replica.gate.close();
      replica[what]();
      replica.gate.open();
    };
    step('commit');
    if (state !== 'protected') step('failOver');
    if (state === 'failed-over') await replica.failoverDurable();
    if (state === 'retired') await replica.settle();
    await replica.close();
  }

  async blank(): Promise<void> {
    await writeFile(this.at('base'), '');
    await truncate(this.at('base'), DISK_BYTES);
  }

  /** The primary was lost, and the base holds the last commit. */
  async leaveLastCommit(word: 'protected' | 'outdated'): Promise<void> {
    await this.leave('protected');
    const file = this.at('base.gannet');
    const record = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...record, lastCommit: true }));
    await writeFile(
      this.at('term'),
      JSON.stringify({
        ...{ format: 'gannet-term-1', vm: 'web', lineage: 'a1', term: 5, word, isForced: false },
        ...{ evidence: null, mustProve: false, at: '2026-03-01T10:00:00.000Z' },
      }),
    );
  }

  gannet(...argv: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const given = [BIN, ...argv, '--json'];
      execFile(process.execPath, given, { env: this.#env }, (error, stdout) => {
        const code = error ? Number(error.code) : 0;
        resolve({ code, remedy: remedyIn(stdout), output: stdout });
      });
    });
  }

  /** A daemon, until it answers, or as it ends. */
  async start(...argv: readonly string[]): Promise<Outcome> {
    const child = spawn(process.execPath, [BIN, ...argv, '--json'], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#daemons.push(child);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = once(child, 'close');
    for (;;) {
      if (child.exitCode !== null) {
        await ended;
        return { code: child.exitCode, remedy: remedyIn(output), output };
      }
      if (await this.answers()) return { code: 0, remedy: '', output };
      await sleep(20);
    }
  }

  /** Whether a daemon does. */
  async answers(): Promise<boolean> {
    try {
      const client = await ControlClient.connect(this.at('control'), 10_000);
      await client.call('status', {}).finally(() => client.close());
      return true;
    } catch {
      return false;
    }
  }

  /** Whether the base is one, on its own. */
  async hasDisk(): Promise<boolean> {
    const { state } = JSON.parse(await readFile(this.at('base.gannet'), 'utf8')) as {
      readonly state: string;
    };
    return state === 'retired';
  }

  /** What `gannet check` says of this finding. */
  async finding(wanted: string): Promise<{ text: string }> {
    const { output } = await this.gannet('check', 'web');
    const { findings } = JSON.parse(output) as { findings: { code: string; remedy: string }[] };
    const found = findings.find(({ code }) => code === wanted);
    if (!found) throw new Error(`no such finding: ${output}`);
    return { text: found.remedy };
  }

  sh(command: string): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile('/bin/sh', ['-c', command], (error, output) => {
        resolve({ code: error ? Number(error.code) : 0, remedy: '', output });
      });
    });
  }

  async end(): Promise<void> {
    for (const child of this.#daemons) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    }
    await rm(this.dir, { recursive: true, force: true });
  }

  get #env(): NodeJS.ProcessEnv {
    const { dir } = this;
    return {
      ...process.env,
      ...{ GANNET_CONFIG_DIR: dir, GANNET_STATE_DIR: dir, GANNET_RUN_DIR: dir },
    };
  }
}

function remedyIn(output: string): string {
  for (const line of output.split('\n').reverse()) {
    try {
      const { error } = JSON.parse(line) as { error?: { remedy?: string } };
      if (error?.remedy !== undefined) return error.remedy;
    } catch {
      // A log line, or none.
    }
  }
  return '';
}
