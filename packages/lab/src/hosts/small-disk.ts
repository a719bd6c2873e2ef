import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * A file system of its own, which can run full.
 *
 * In a mount namespace that others see through its process: it is gone with that, and that with
 * this one.
 */
export class SmallDisk {
  private constructor(private readonly keeper: ChildProcess) {}

  static async mount(size: string): Promise<SmallDisk> {
    const mount = `mount -t tmpfs -o size=${size} small /mnt`;
    const script = `${mount} && echo mounted && exec sleep infinity`;
    const command = ['--pdeathsig', 'KILL', 'unshare', '--mount', 'sh', '-c', script];
    const keeper = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(keeper.stdout, 'data');
    return new SmallDisk(keeper);
  }

  get dir(): string {
    return `/proc/${this.keeper.pid}/root/mnt`;
  }

  /** From now on it has so much space in all. */
  async resize(size: string): Promise<void> {
    const mount = ['mount', '-o', `remount,size=${size}`, '/mnt'];
    await run('nsenter', ['--mount', '--target', String(this.keeper.pid), ...mount]);
  }

  /** Takes all the space that is left. @returns gives it back */
  async fillUp(): Promise<() => Promise<void>> {
    const filler = path.join(this.dir, 'filler');
    const file = await open(filler, 'w');
    const page = Buffer.alloc(4096, 0x5a);
    try {
      while ((await statfs(this.dir)).bfree > 0) await file.write(page);
    } catch (error) {
      // Somebody else has taken the rest.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      await file.close();
    }
    return () => rm(filler);
  }

  async remove(): Promise<void> {
    const ended = once(this.keeper, 'close');
    this.keeper.kill('SIGKILL');
    await ended;
  }
}
