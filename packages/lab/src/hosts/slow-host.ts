/**
 * A "host" with a slow disk: a control group for its processes, of cgroup v1 (blkio.throttle) or v2
 * (io.max). v1 limits only direct I/O and what a process writes back itself with fdatasync.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../errors.js';

const V1 = '/sys/fs/cgroup/blkio';
const V2 = '/sys/fs/cgroup';

export interface DiskLimits {
  readonly iops: number;
  readonly bytesPerSec: number;
}

/** What the processes of a host have done with the disk so far. */
export interface DiskUsage {
  readonly reads: number;
  readonly writes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface BlockDevice {
  readonly name: string;
  /** `MAJOR:MINOR` of the whole disk. */
  readonly number: string;
}

/** The disk below the folder for temporary files. */
export async function diskBelow(folder = tmpdir()): Promise<BlockDevice | undefined> {
  const { dev } = await stat(folder);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const line = mounts.split('\n').find((each) => each.split(' ')[2] === `${major}:${minor}`);
  const source = / - \S+ (\/dev\/\S+)/.exec(line ?? '')?.[1];
  if (source === undefined) return undefined;
  return { name: source.replace('/dev/', ''), number: `${major}:${minor}` };
}

let lastGroup = 0;

/**
 * Its processes share a disk with these limits. Needs root, and the control group controller blkio
 * or io.
 */
export class SlowHost {
  private constructor(
    private readonly group: string,
    private readonly device: string,
    private readonly isV1: boolean,
  ) {}

  /** @throws LabError without the permission or the controller to limit a disk */
  static async create(limits: DiskLimits): Promise<SlowHost> {
    const device = (await diskBelow())?.number;
    if (device === undefined) {
      throw new LabError('the folder for temporary files is not on a disk that can be limited');
    }
    const isV1 = existsSync(V1);
    const group = path.join(isV1 ? V1 : V2, `gannet-slow-${process.pid}-${++lastGroup}`);
    try {
      if (!isV1) await writeFile(path.join(V2, 'cgroup.subtree_control'), '+io');
      await mkdir(group);
    } catch (cause) {
      throw new LabError(`no control group for a slow disk: ${String(cause)}; run as root`, {
        cause,
      });
    }
    const host = new SlowHost(group, device, isV1);
    try {
      await host.limit(limits);
    } catch (error) {
      await host.dispose();
      throw error;
    }
    return host;
  }

  /** Moves a process into it, with all its threads. */
  async take(pid: number): Promise<void> {
    await writeFile(path.join(this.group, 'cgroup.procs'), `${pid}`);
  }

  /** The beginning of a command line that runs a program in it. */
  enter(): string[] {
    const procs = path.join(this.group, 'cgroup.procs');
    return ['sh', '-c', 'echo $$ > "$0" && exec "$@"', procs];
  }

  /** `undefined` lifts the limits. */
  async limit(limits: DiskLimits | undefined): Promise<void> {
    const { iops = 0, bytesPerSec = 0 } = limits ?? {};
    if (!this.isV1) {
      const max = (value: number): string => (value === 0 ? 'max' : `${value}`);
      const [bps, rate] = [max(bytesPerSec), max(iops)];
      const line = `${this.device} rbps=${bps} wbps=${bps} riops=${rate} wiops=${rate}`;
      await writeFile(path.join(this.group, 'io.max'), line);
      return;
    }
    for (const direction of ['read', 'write']) {
      const file = (what: string): string =>
        path.join(this.group, `blkio.throttle.${direction}_${what}_device`);
      await writeFile(file('iops'), `${this.device} ${iops}`);
      await writeFile(file('bps'), `${this.device} ${bytesPerSec}`);
    }
  }

  /** Counted where the limits are: what a limit does not see is not in it. */
  async usage(): Promise<DiskUsage> {
    const text = (name: string): Promise<string> => readFile(path.join(this.group, name), 'utf8');
    if (!this.isV1) {
      const stat = await text('io.stat');
      const line = stat.split('\n').find((each) => each.startsWith(`${this.device} `)) ?? '';
      const of = (key: string): number => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
      const [reads, writes] = [of('rios'), of('wios')];
      return { reads, writes, bytesRead: of('rbytes'), bytesWritten: of('wbytes') };
    }
    const [served, bytes] = await Promise.all(
      ['io_serviced', 'io_service_bytes'].map((what) => text(`blkio.throttle.${what}`)),
    );
    const of = (all = '', kind: string): number =>
      Number(new RegExp(`^${this.device} ${kind} (\\d+)$`, 'm').exec(all)?.[1] ?? 0);
    return {
      ...{ reads: of(served, 'Read'), writes: of(served, 'Write') },
      ...{ bytesRead: of(bytes, 'Read'), bytesWritten: of(bytes, 'Write') },
    };
  }

  /** Call it after all of its processes have ended. */
  async dispose(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const pids = await readFile(path.join(this.group, 'cgroup.procs'), 'utf8').catch(() => '');
      if (pids.trim() === '') break;
      await sleep(20);
    }
    await rmdir(this.group);
  }
}
