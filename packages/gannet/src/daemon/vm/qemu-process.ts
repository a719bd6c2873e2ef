/** Which QEMU processes of this host own a socket, and whether they are gone (proc(5)). */
import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';

export interface QemuProcess {
  readonly pid: number;
  /** In clock ticks since boot: another process may get the same pid. */
  readonly startTicks: string;
}

export interface QemuProcesses {
  /**
   * The QEMU processes that have one of these sockets open. Empty if another process has, such as a
   * forwarder, or if this daemon may not know.
   *
   * @param inodes of the sockets; empty if they are in the tables of another network namespace
   * @param file the path of a unix socket: by it a QEMU is known whose sockets can't be seen
   */
  ownersOf(inodes: readonly string[], file?: string): Promise<readonly QemuProcess[]>;
  isGone(process: QemuProcess): Promise<boolean>;
}

/** `qemu-system-x86_64`, `qemu-kvm`, `kvm`: as distributions name it. */
const QEMU_NAME = /^(qemu|kvm$)/;

export const QEMU_PROCESSES: QemuProcesses = {
  async ownersOf(inodes, file) {
    const found: QemuProcess[] = [];
    for (const pid of await pids()) {
      if (!(await isQemu(pid))) continue;
      const isSeen = inodes.length > 0 ? await hasOpen(pid, inodes) : undefined;
      const isOwner = isSeen ?? (await isStartedWith(pid, file));
      const startTicks = isOwner ? await startTicksOf(pid) : undefined;
      if (startTicks !== undefined) found.push({ pid, startTicks });
    }
    return found;
  },

  async isGone({ pid, startTicks }) {
    return (await startTicksOf(pid)) !== startTicks;
  },
};

async function pids(): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/**
 * The name of the program; that of the first thread where the program of another user is hidden.
 */
async function isQemu(pid: number): Promise<boolean> {
  const program = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  if (program !== undefined) return QEMU_NAME.test(path.basename(program));
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return QEMU_NAME.test(name);
}

/** @returns undefined if this daemon may not see what the process has open */
async function hasOpen(pid: number, inodes: readonly string[]): Promise<boolean | undefined> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => undefined);
  if (!names) return undefined;
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const name of names) {
    const target = await readlink(path.join(folder, name)).catch(() => '');
    if (wanted.has(target)) return true;
  }
  return false;
}

async function isStartedWith(pid: number, file: string | undefined): Promise<boolean> {
  if (file === undefined) return false;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  // Not one whose name goes on: `path=/run/web.qmp,server=on` is not /run/web.q.
  return commandLine.split(/[\0,=]|unix:/).includes(file);
}

/** @returns undefined for a process that has ended: nobody may have waited for it yet */
async function startTicksOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // `pid (comm) state ...`; the name of a program may hold blanks and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = 'X'] = fields;
  return text === '' || state === 'Z' || state === 'X' ? undefined : fields[START_FIELD];
}

/** Of `starttime`, field 22, behind the name, which is field 2. */
const START_FIELD = 22 - 3;
