// One run of a real secondary daemon, from seeding to a kill -9 at a bad moment, and what can be
// recovered behind it.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MethodName, MethodParams } from '@gannet/contract';
import { NbdClient } from '@gannet/nbd';
import { LabDaemon } from '@gannet/lab';
import { apply, contentsOf, DiskHistory, isCausal, randomWrite, type Write } from './history.js';
import { Random } from '@gannet/test-support/random.js';
import { KillAtChange } from './watcher.js';

const DISK_BYTES = 4 * 1024 * 1024;
const DISKS = ['a', 'b'] as const;
const SEED_CHUNK_BYTES = 64 * 1024;
const LOAD_MS_MAX = 4000;
const IN_FLIGHT_MAX = 8;
const BIN = createRequire(import.meta.url)
  .resolve('gannet')
  .replace(/index\.js$/, 'bin.js');

interface Refusal {
  readonly error: { readonly code: string; readonly remedy: string };
}

/** When the daemon is killed. */
export type Moment = 'seed' | 'write-back' | 'failover' | 'journal' | 'merge' | 'any';

export interface LifeReport {
  readonly seed: number;
  readonly moment: Moment;
  /** The file whose change set off the kill; undefined where time did. */
  readonly file: string | undefined;
  /** Kills of the daemon and of recoveries. */
  readonly kills: number;
  readonly recoveryKills: number;
  readonly wasAcknowledged: boolean;
  readonly end: 'refused' | 'recovered';
  readonly writes: number;
  readonly flushes: number;
  /** Writes that were there and did not have to be. */
  readonly bonus: number;
  /** Attempts that found the base still held by what the killed process had started. */
  readonly lockedOut: number;
}

export async function runLife(seed: number, folder: string): Promise<LifeReport> {
  const crashRun = new CrashRun(new Random(seed), folder);
  try {
    return await crashRun.run();
  } catch (error) {
    throw new Error(`seed ${seed}, killed in ${crashRun.moment}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    await crashRun.end();
  }
}

class CrashRun {
  readonly moment: Moment;
  #daemon!: LabDaemon;
  #histories: DiskHistory[] = [];
  #clients: NbdClient[] = [];
  #killer: KillAtChange | undefined;
  #isKilled = false;
  #isAcknowledged = false;
  #flushes = 0;
  #lockedOut = 0;
  #recoveryKills = 0;
  #file: string | undefined;

  constructor(
    private readonly random: Random,
    private readonly folder: string,
  ) {
    this.moment = random.pick<Moment>([
      ...(['seed', 'write-back', 'any', 'any'] as const),
      ...(['failover', 'failover', 'failover', 'failover'] as const),
      ...(['journal', 'journal', 'journal', 'journal', 'merge', 'merge', 'merge'] as const),
    ]);
  }

  async run(): Promise<LifeReport> {
    await mkdir(this.#path('data'), { recursive: true, mode: 0o700 });
    this.#daemon = await LabDaemon.start({
      role: 'secondary',
      dir: this.folder,
      config: this.#config(),
      bin: BIN,
    });
    await this.#livedUntilKilled();
    const end = await this.#recover();
    const bonus = end === 'recovered' ? await this.#compare() : 0;
    return {
      ...{ seed: this.random.seed, moment: this.moment, file: this.#file, end, bonus },
      ...{ kills: 1 + this.#recoveryKills, recoveryKills: this.#recoveryKills },
      wasAcknowledged: this.#isAcknowledged,
      writes: this.#histories.reduce((sum, { writes }) => sum + writes.length, 0),
      ...{ flushes: this.#flushes, lockedOut: this.#lockedOut },
    };
  }

  async end(): Promise<void> {
    this.#killer?.close();
    for (const client of this.#clients) client.destroy();
    if (!this.#isKilled) this.#daemon.kill('SIGKILL').catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }

  #config(): { control: string } & Record<string, unknown> {
    return {
      vm: 'kills',
      control: this.#path('control'),
      qmp: `unix:${this.#path('qmp')}`,
      disks: DISKS.map((name) => {
        return { name, device: name, base: this.#path(`data/${name}.raw`), size: DISK_BYTES };
      }),
      secondary: {
        source: 'external',
        nbd: `unix:${this.#path('nbd')}`,
        journal: this.#path('data/journal'),
      },
    };
  }

  #path(name: string): string {
    return path.join(this.folder, name);
  }

  async #livedUntilKilled(): Promise<void> {
    const { random, moment } = this;
    if (moment === 'any') {
      const timer = setTimeout(() => this.#kill(), random.next() * 600);
      await this.#live();
      clearTimeout(timer);
    } else await this.#live();
    if (!this.#isKilled) this.#kill();
    await this.#daemon.exited;
  }

  /** What a VM does. Ends early, without an error, when its daemon has been killed. */
  async #live(): Promise<void> {
    try {
      await this.#seed();
      await this.#protected();
      await this.#failOver();
      const until = performance.now() + LOAD_MS_MAX;
      await Promise.all(DISKS.map((_name, disk) => this.#load(disk, until)));
    } catch (error) {
      // What a killed daemon does to those who talk to it.
      if (!this.#isKilled) throw error;
    }
  }

  async #seed(): Promise<void> {
    if (this.moment === 'seed') this.#killAt(this.random.below(60), (file) => isBase(file));
    const clients = await this.#connect('pvm');
    for (const [disk, client] of clients.entries()) {
      const start = Buffer.alloc(DISK_BYTES);
      for (let offset = 0; offset < DISK_BYTES; offset += SEED_CHUNK_BYTES) {
        const chunk = { disk, offset, length: SEED_CHUNK_BYTES, isZero: false, seen: [] };
        const write: Write = { ...chunk, id: this.random.below(2 ** 31) };
        apply(start, write);
        await client.write(offset, contentsOf(write));
      }
      this.#histories.push(new DiskHistory(start));
    }
    await this.#checkpoint();
  }

  /** Some epochs: the primary's writes count at a checkpoint, the secondary's do not. */
  async #protected(): Promise<void> {
    if (this.moment === 'write-back') this.#killAt(this.random.below(12), (file) => isBase(file));
    const primary = [...this.#clients];
    const secondary = await this.#connect('svm');
    for (let epoch = this.random.below(4); epoch >= 0; epoch--) {
      await this.#writeSome(primary, true);
      await this.#writeSome(secondary, false);
      await this.#checkpoint();
    }
    await this.#writeSome(primary, false);
    await this.#writeSome(secondary, true);
    if (this.moment === 'write-back') await sleep(200);
  }

  async #writeSome(clients: readonly NbdClient[], counts: boolean): Promise<void> {
    for (const [disk, client] of clients.entries()) {
      for (let count = this.random.below(60); count > 0; count--) {
        const write: Write = { ...randomWrite(this.random, disk, DISK_BYTES), seen: [] };
        if (counts) apply((this.#histories[disk] as DiskHistory).start, write);
        await send(client, write, false);
      }
    }
  }

  async #failOver(): Promise<void> {
    if (this.moment === 'failover') this.#killAt(1 + this.random.below(16), () => true);
    await this.#call('failover', { force: true });
    this.#isAcknowledged = true;
    const isMeant = this.moment === 'journal' ? isJournal : isBase;
    if (this.moment === 'journal' || this.moment === 'merge') {
      this.#killAt(1 + this.random.below(400), isMeant);
    }
  }

  /** The guest after its failover: some writes at once, and now and then a flush. */
  async #load(disk: number, untilMs: number): Promise<void> {
    const history = this.#histories[disk] as DiskHistory;
    const client = this.#clients[DISKS.length + disk] as NbdClient;
    while (performance.now() < untilMs && !this.#isKilled) {
      const batch = Array.from({ length: 1 + this.random.below(IN_FLIGHT_MAX) }, () =>
        this.#write(client, history, disk),
      );
      await Promise.all(batch);
      if (this.random.chance(0.3)) {
        const { answered } = history;
        await client.flush();
        this.#flushes++;
        history.durable = Math.max(history.durable, answered);
      }
    }
  }

  async #write(client: NbdClient, history: DiskHistory, disk: number): Promise<void> {
    const seen = this.#histories.map(({ answered }) => answered);
    const write: Write = { ...randomWrite(this.random, disk, DISK_BYTES), seen };
    const index = history.writes.push(write) - 1;
    const fua = this.random.chance(0.03);
    await send(client, write, fua);
    history.wasAnswered(index);
    if (fua) history.durable = Math.max(history.durable, index + 1);
  }

  /**
   * @returns what `gannet recover` came to in the end, perhaps after some recoveries that were
   * killed, too
   */
  async #recover(): Promise<LifeReport['end']> {
    for (let kills = this.random.below(3); kills > 0 && this.#isAcknowledged; kills--) {
      await this.#recovery(1 + this.random.below(24));
    }
    const first = await this.#recovery();
    // A second answer is the first one's.
    const second = this.random.chance(0.3) ? await this.#recovery() : first;
    if (first.code !== second.code)
      throw new Error(`recovered twice: ${first.code}, ${second.code}`);
    if (first.code === 0) return 'recovered';
    const { code, remedy } = (JSON.parse(first.stdout) as Refusal).error;
    const isRefusal = code === 'REPLICA_BASE_NOT_USABLE' || code === 'REPLICA_BASE_FOREIGN';
    if (this.#isAcknowledged || !isRefusal || !remedy) throw new Error(first.stdout + first.stderr);
    return 'refused';
  }

  /** `gannet recover`, to its end or until its files have changed so often. */
  async #recovery(
    changes?: number,
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    for (;;) {
      const child = spawnGannet(['recover', '--json', '--config', this.#daemon.configPath]);
      const killer =
        changes === undefined
          ? undefined
          : new KillAtChange(this.#path('data'), changes, () => child.kill('SIGKILL'));
      const end = await endOf(child);
      killer?.close();
      if (end.stdout.includes('REPLICA_BASE_IN_USE')) {
        // What the killed process had started for its locks ends with it, a moment later.
        this.#lockedOut++;
        await sleep(20);
      } else {
        if (killer?.file !== undefined && end.code === null) this.#recoveryKills++;
        return end;
      }
    }
  }

  /** @returns how many writes are there that did not have to be */
  async #compare(): Promise<number> {
    const cuts: number[][] = [];
    for (const [disk, history] of this.#histories.entries()) {
      const found = await readFile(this.#path(`data/${DISKS[disk]}.raw`));
      cuts.push(history.cutsOf(found));
    }
    const [a = [], b = []] = cuts;
    const all = a.flatMap((first) => b.map((second) => [first, second]));
    const possible = all.filter((pair) => isCausal(this.#histories, pair)).at(-1);
    if (possible) {
      const count = possible.reduce((sum, cut) => sum + cut, 0);
      return count - this.#histories.reduce((sum, { durable }) => sum + durable, 0);
    }
    const states = this.#histories.map(({ durable, answered, writes }, disk) => {
      const ends = cuts[disk]?.join(' ') ?? '';
      const counts = `${durable} durable, ${answered} answered, ${writes.length} sent`;
      return `${DISKS[disk]}: ${counts}, ends at [${ends}]`;
    });
    throw new Error(`torn, or something is missing: ${states.join('; ')}`);
  }

  async #checkpoint(): Promise<void> {
    await this.#call('seal');
    await this.#call('commit');
  }

  async #call<M extends MethodName>(method: M, params?: MethodParams<M>): Promise<void> {
    await this.#daemon.client.call(method, params);
  }

  async #connect(side: 'pvm' | 'svm'): Promise<NbdClient[]> {
    const clients: NbdClient[] = [];
    for (const name of DISKS) {
      const address = { path: this.#path('nbd') };
      clients.push(await NbdClient.connect(address, { export: `${name}-${side}` }));
    }
    this.#clients.push(...clients);
    return clients;
  }

  #killAt(changes: number, isMeant: (file: string) => boolean): void {
    this.#killer = new KillAtChange(this.#path('data'), changes, () => this.#kill(), isMeant);
  }

  #kill(): void {
    this.#isKilled = true;
    this.#file = this.#killer?.file;
    process.kill(this.#daemon.pid as number, 'SIGKILL');
  }
}

function isBase(file: string): boolean {
  return file.endsWith('.raw');
}

function isJournal(file: string): boolean {
  return file === 'journal';
}

async function send(client: NbdClient, write: Write, fua: boolean): Promise<void> {
  const { offset, length, isZero } = write;
  if (isZero) await client.writeZeroes(offset, length, { fua });
  else await client.write(offset, contentsOf(write), { fua });
}

function spawnGannet(args: readonly string[]): ChildProcess {
  const command = ['--pdeathsig', 'KILL', process.execPath, BIN, ...args];
  return spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
}

function endOf(
  child: ChildProcess,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...texts }));
  });
}
