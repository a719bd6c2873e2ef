import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, isLoopback } from '@gannet/contract';
import { QEMU_PROCESSES, type QemuProcess, type QemuProcesses } from './qemu-process.js';

/** One socket of the kernel's tables (proc(5), /proc/net/unix and /proc/net/tcp). */
interface Listed {
  readonly inode: string;
  readonly name: string;
}

/** Of /proc/net/unix: Flags with __SO_ACCEPTCON. */
const UNIX_LISTENS = '00010000';
/** Of /proc/net/tcp: TCP_LISTEN. */
const TCP_LISTENS = '0A';

/** A process closes its sockets some time before it is gone. */
const GONE_LOOKS = 20;
const GONE_PAUSE_MS = 50;

/**
 * The listening socket of a QEMU, told from any other that takes its place or its name. QEMU has
 * its own open from start to end, whoever is connected. That it has closed, and that the QEMU
 * process that owned it is gone, says that QEMU has ended. A socket whose owner is a forwarder
 * (`ssh -L`, socat) or is not known says nothing by its end, and neither does a path at which
 * nobody answers: anybody may remove a file. A QEMU in another network namespace has its socket in
 * no table of ours: it is known by the path on its command line, and its end by its process alone.
 */
export class QmpListener {
  private constructor(
    private readonly address: Address,
    private readonly inodes: readonly string[],
    private readonly owners: readonly QemuProcess[],
    private readonly processes: QemuProcesses,
  ) {}

  /** Who listens at that address now; all who may be meant, if several may. */
  static async at(address: Address, processes = QEMU_PROCESSES): Promise<QmpListener> {
    const inodes = await inodesAt(address);
    const file = address.type === 'unix' ? address.path : undefined;
    const isFindable = inodes.length > 0 || file !== undefined;
    const owners = isFindable ? await processes.ownersOf(inodes, file) : [];
    return new QmpListener(address, inodes, owners, processes);
  }

  /** Tells its QEMU from the next one at this address; undefined if it is not known. */
  get process(): string | undefined {
    const names = this.owners.map(({ pid, startTicks }) => `${pid}@${startTicks}`);
    return names.length === 0 ? undefined : names.sort().join(' ').slice(0, 64);
  }

  /** @returns whether QEMU is known to have ended; false if nothing can tell */
  async hasEnded(): Promise<boolean> {
    if (this.owners.length === 0) return false;
    // The kernel hands its table out in parts: one that changes meanwhile may lack an entry. Hence
    // twice.
    if ((await this.#isListed()) || (await this.#isListed())) return false;
    for (let look = 1; look <= GONE_LOOKS; look++) {
      const isGone = await Promise.all(this.owners.map((owner) => this.processes.isGone(owner)));
      if (isGone.every(Boolean)) return true;
      await sleep(GONE_PAUSE_MS);
    }
    return false;
  }

  async #isListed(): Promise<boolean> {
    const listed = await table(this.address).catch(() => undefined);
    return !listed || listed.some(({ inode }) => this.inodes.includes(inode));
  }
}

async function inodesAt(address: Address): Promise<string[]> {
  // Another host's is in no table of ours, though somebody here may have the same port.
  if (address.type === 'inet' && !isLoopback(address.host)) return [];
  const listed = await table(address).catch(() => []);
  if (address.type === 'inet') return inodesOf(listed, (name) => name === String(address.port));
  const { path: file } = address;
  const names = [file, path.resolve(file), await realpath(file).catch(() => file)];
  const exact = inodesOf(listed, (name) => names.includes(name));
  if (exact.length > 0) return exact;
  // The table says what the server said, and that may have been a path from its own folder.
  const base = path.basename(file);
  return inodesOf(listed, (name) => !path.isAbsolute(name) && path.basename(name) === base);
}

function inodesOf(listed: readonly Listed[], isMeant: (name: string) => boolean): string[] {
  return listed.filter(({ name }) => isMeant(name)).map(({ inode }) => inode);
}

/** All that listen on this host; names are paths, or ports. */
async function table(address: Address): Promise<Listed[]> {
  if (address.type === 'unix') return parseUnix(await readFile('/proc/self/net/unix', 'utf8'));
  const v6 = readFile('/proc/self/net/tcp6', 'utf8').catch(() => '');
  return parseTcp((await readFile('/proc/self/net/tcp', 'utf8')) + (await v6));
}

/** `Num RefCount Protocol Flags Type St Inode Path`; a path may hold blanks. */
function parseUnix(text: string): Listed[] {
  return text.split('\n').flatMap((line) => {
    const [, flags, inode = '', name = ''] =
      /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.+)$/.exec(line) ?? [];
    return flags === UNIX_LISTENS ? [{ inode, name }] : [];
  });
}

/**
 * `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`, addresses as hex
 * `IP:PORT`.
 */
function parseTcp(text: string): Listed[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const port = parseInt(local.split(':')[1] ?? '', 16);
    return state === TCP_LISTENS ? [{ inode, name: String(port) }] : [];
  });
}
