import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** Executes, for all that can be seen from outside: it is there, and not halted. */
export function executes(pid: number): boolean {
  const state = stateOf(pid);
  return state !== undefined && !'TZX'.includes(state);
}

/** Processes of this name that a process has started. */
export async function childrenOf(pid: number | undefined, name: string): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const pids = text.trim().split(' ').filter(Boolean).map(Number);
  const names = await Promise.all(
    pids.map((one) => readFile(`/proc/${one}/comm`, 'utf8').catch(() => '?')),
  );
  return pids.filter((_, at) => name.startsWith((names[at] ?? '?').trim()));
}

/** A process that has gone is no trouble. */
export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function stateOf(pid: number): string | undefined {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
