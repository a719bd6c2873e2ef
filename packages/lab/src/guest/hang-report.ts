import { readdir, readFile } from 'node:fs/promises';
import { QmpClient } from 'qemu-qmp-client';

const PATIENCE_MS = 5000;
/**
 * Questions to QEMU's monitor about a guest that hangs: processor, interrupts, disk requests.
 */
const QUESTIONS = ['info status', 'info registers', 'info lapic', 'info pic', 'info blockstats'];

/**
 * Describes a QEMU whose guest has stopped responding, for the message of a failed test: its
 * threads, as the kernel sees them, and the answers of its monitor.
 */
export async function describeStandstill(pid: number, qmpPath: string): Promise<string> {
  const [threads, monitor] = await Promise.all([
    describeThreads(pid).catch(String),
    askMonitor(qmpPath).catch((error: unknown) => `its monitor does not answer: ${String(error)}`),
  ]);
  return `threads of process ${pid}:\n${threads}\n${monitor}`;
}

/**
 * A line for each thread: name, state, processor time in ticks, and the system call it waits in.
 */
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
      // The positions of device and driver: between them are requests without a notification.
      answers.push(await ask(`info virtio-queue-status ${queue}`));
      answers.push(await ask(`info virtio-queue-element ${queue}`));
    }
    return answers.join('\n');
  } finally {
    await client.close();
  }
}
