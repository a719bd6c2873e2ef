import { readdir, readFile } from 'node:fs/promises';
import { QmpClient } from 'qemu-qmp-client';

const PATIENCE_MS = 5000;
/** Where a guest stands: its processor, its interrupts, what it has asked of its disks and what they have done. */
const QUESTIONS = ['info status', 'info registers', 'info lapic', 'info pic', 'info blockstats'];

/**
 * What a QEMU is seen to do whose guest has fallen silent, for whoever reads why a test failed: its threads as the kernel
 * sees them, and what its monitor on this socket says, if it answers at all.
 */
export async function describeStandstill(pid: number, qmpPath: string): Promise<string> {
  const [threads, monitor] = await Promise.all([
    describeThreads(pid).catch(String),
    askMonitor(qmpPath).catch((error: unknown) => `its monitor does not answer: ${String(error)}`),
  ]);
  return `threads of process ${pid}:\n${threads}\n${monitor}`;
}

/** A line a thread: its name, its state, its processor time in ticks, and the system call that it waits in. */
async function describeThreads(pid: number): Promise<string> {
  const tasks = `/proc/${pid}/task`;
  const lines = (await readdir(tasks)).map(async (id) => {
    const read = (file: string): Promise<string> =>
      readFile(`${tasks}/${id}/${file}`, 'utf8').catch(() => '?');
    const [stat, wchan, syscall] = await Promise.all(['stat', 'wchan', 'syscall'].map(read));
    const [, name, rest = ''] = /\((.*)\) (.*)/.exec(stat ?? '') ?? [];
    const [state, ...fields] = rest.split(' ');
    const ticks = `${fields[10]}+${fields[11]}`;
    return `${id} ${name} ${state} ${ticks} ${wchan} ${syscall?.split(' ')[0]?.trim()}`;
  });
  return (await Promise.all(lines)).join('\n');
}

async function askMonitor(path: string): Promise<string> {
  const client = await QmpClient.connect({
    target: { kind: 'unix', path },
    connectTimeoutMs: PATIENCE_MS,
    commandTimeoutMs: PATIENCE_MS,
  });
  try {
    const ask = async (question: string): Promise<string> => {
      const answer = await client.executeRaw('human-monitor-command', { 'command-line': question });
      return `${question}:\n${String(answer).replaceAll('\r', '').trimEnd()}`;
    };
    const answers: string[] = [];
    for (const question of QUESTIONS) answers.push(await ask(question));
    const [, ...devices] = (await ask('info virtio')).split('\n');
    for (const device of devices.filter((line) => line.includes('virtio-blk'))) {
      const queue = `${device.split(' ')[0]} 0`;
      // How far the device has come, and how far the driver: a request that nobody was told of lies between.
      answers.push(await ask(`info virtio-queue-status ${queue}`));
      answers.push(await ask(`info virtio-queue-element ${queue}`));
    }
    return answers.join('\n');
  } finally {
    await client.close();
  }
}
