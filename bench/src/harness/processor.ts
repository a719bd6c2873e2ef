/** What a process has used so far, from /proc. */
import { readFile } from 'node:fs/promises';

/** USER_HZ is 100 on every Linux that Node.js runs on. */
const MICROSECONDS_PER_TICK = 10_000;
const KIB = 1024;

/** User and system time of all its threads, in steps of 10 ms. */
export async function processorUs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in brackets, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return (user + system) * MICROSECONDS_PER_TICK;
}

export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) * KIB;
}
