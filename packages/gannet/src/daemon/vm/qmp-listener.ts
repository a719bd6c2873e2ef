import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Address, isLoopback } from '@gannet/contract';

/** One socket of the kernel's tables (proc(5), /proc/net/unix and /proc/net/tcp). */
interface Listed {
  readonly inode: string;
  readonly name: string;
}

/** Of /proc/net/unix: Flags with __SO_ACCEPTCON. */
const UNIX_LISTENS = '00010000';
/** Of /proc/net/tcp: TCP_LISTEN. */
const TCP_LISTENS = '0A';

/**
 * The listening socket of a server, told from any other that takes its place or its name. QEMU has its own open from
 * start to end, whoever is connected, so that one that has closed says that the process is over: the kernel closes it
 * when the last thread has ended. That nobody answers at its path does not: anybody may remove a file.
 */
export class QmpListener {
  private constructor(
    private readonly address: Address,
    private readonly inodes: readonly string[],
    private readonly file: string | undefined,
  ) {}

  /** Who listens at that address now; all who may be meant, where several may. */
  static async at(address: Address): Promise<QmpListener> {
    const [inodes, file] = await Promise.all([inodesAt(address), fileAt(address)]);
    return new QmpListener(address, inodes, file);
  }

  /**
   * @param isRefused by a socket file that is there, and behind which nobody listens
   * @returns whether it is known to have closed; false where nothing can tell
   */
  async hasClosed(isRefused: boolean): Promise<boolean> {
    if (this.inodes.length === 0)
      return isRefused && this.file !== undefined && this.file === (await fileAt(this.address));
    // The kernel hands its table out in parts: one that changes meanwhile may be short of an entry. Hence twice.
    return !(await this.#isListed()) && !(await this.#isListed());
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

/** Which file it is: another one at the same path is not the same. */
async function fileAt(address: Address): Promise<string | undefined> {
  if (address.type === 'inet') return undefined;
  const found = await stat(address.path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}:${found.ctimeNs}`;
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

/** `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`, addresses as hex `IP:PORT`. */
function parseTcp(text: string): Listed[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const port = parseInt(local.split(':')[1] ?? '', 16);
    return state === TCP_LISTENS ? [{ inode, name: String(port) }] : [];
  });
}
