import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;

/** Runs a program that dies with this process; returns what it printed. */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const options = { maxBuffer: OUTPUT_MAX_BYTES };
  const { stdout, stderr } = await exec(
    'setpriv',
    ['--pdeathsig', 'KILL', program, ...args],
    options,
  );
  return stdout + stderr;
}

/** Starts a server program; stop() ends it. */
export function start(
  program: string,
  ...args: readonly string[]
): { readonly child: ChildProcess; stop(): Promise<void> } {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: 'ignore' });
  return {
    child,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** Tries until it works or the program has ended. */
export async function eventually<T>(attempt: () => Promise<T>, child: ChildProcess): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Gives a directory to `use` and removes it afterwards. */
export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'nbd-test-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
