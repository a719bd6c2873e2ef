/** Facts that only the host itself knows. Read-only; never connects to a migration listener. */
import { constants } from 'node:fs';
import { access, readdir, readFile, stat, statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import path from 'node:path';
import { probeNbdServer } from '@gannet/qmp-driver';
import { type DiskOptions, probeImage, readStateFile } from '@gannet/replicator';
import {
  type Address,
  basesOf,
  type Config,
  migrationAddress,
  type PrimaryConfig,
  type SecondaryConfig,
} from '@gannet/contract';
import { addressText } from './disk-links.js';
import { migrationSource, type RouteFacts, routeTo } from './routes.js';

const PROBE_TIMEOUT_MS = 2000;
/** The replicator's default for `secondary.memory.hard`. */
const HARD_LIMIT_BYTES = 1024 * 1024 * 1024;
const SHIM = 'colo-tcg-shim';
const TCP_LISTEN = '0A';

/** A base image or block device. */
export interface BaseFacts {
  readonly name: string;
  readonly path: string;
  /** Size of the file; if it does not exist, the size that it will be created with. */
  readonly sizeBytes?: number;
  /** Size in the configuration. */
  readonly wantedBytes?: number;
  readonly exists: boolean;
  readonly allocatedBytes: number;
  /** Free space on its file system. */
  readonly freeBytes?: number;
  /** What the state file beside it says. */
  readonly record?: { readonly vm: string; readonly disk: string; readonly state: string };
  readonly trouble?: string;
  /** Format in the configuration. */
  readonly format: string;
  /** What qemu-img finds. */
  readonly found?: { readonly format: string; readonly isInUse: boolean };
}

/** Everything that is read from a host. */
export interface HostFacts {
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
  /** Hard limit of the buffers; 0 on a primary. */
  readonly bufferBytes: number;
  readonly bases: readonly BaseFacts[];
  readonly overwrite: boolean;
  /** Addresses of the configuration that do not answer. */
  readonly unreachable: readonly {
    readonly key: string;
    readonly address: string;
    readonly why: string;
  }[];
  readonly folders: readonly {
    readonly key: string;
    readonly path: string;
    readonly why: string;
  }[];
  /** Routes of the migration, if it goes over TCP. */
  readonly routes?: readonly RouteFacts[];
  /** Whether QEMU runs with the shim that COLO needs under TCG; absent if QEMU was not found. */
  readonly shim?: boolean;
}

/** Reads the facts of a primary host. */
export async function primaryHostFacts(config: PrimaryConfig): Promise<HostFacts> {
  const { nbd, migrate } = config.primary;
  const unreachable = [
    ...(await unreachableNbd('primary.nbd', nbd)),
    ...(await unreachableMigrate('primary.migrate', migrate)),
  ];
  const target = migrationAddress(migrate);
  const routes = target?.type === 'inet' ? await routeTo('primary.migrate', target.host) : [];
  return { ...(await commonFacts(config)), bases: [], unreachable, routes, bufferBytes: 0 };
}

/**
 * Reads the facts of a secondary host.
 *
 * @param isServing whether the daemon of this side runs: then its NBD server must answer
 * @param peerAddress address of the primary's daemon, if it is connected over TCP
 */
export async function secondaryHostFacts(
  config: SecondaryConfig,
  isServing: boolean,
  peerAddress?: string,
): Promise<HostFacts> {
  const { nbd, svm, peer, migrate, memory, journal, overwrite } = config.secondary;
  const incoming = migrate === undefined ? undefined : migrationAddress(migrate);
  const source = migrationSource(incoming, peerAddress);
  const common = await commonFacts(config, [
    ['secondary.nbd', nbd.type === 'unix' ? nbd.path : undefined],
    ['secondary.svm', nbd.type === 'unix' && nbd.path === svm ? undefined : svm],
    ['secondary.peer', peer?.type === 'unix' ? peer.path : undefined],
    ['secondary.journal', journal],
    ['secondary.memory.spillDirectory', inFolder(memory?.spillDirectory)],
  ]);
  return {
    ...common,
    bufferBytes: memory?.hard ?? HARD_LIMIT_BYTES,
    bases: await Promise.all(basesOf(config).map(baseFacts)),
    overwrite,
    routes: source === undefined ? [] : await routeTo('secondary.migrate', source),
    unreachable: isServing ? await unreachableNbd('secondary.nbd', nbd) : [],
  };
}

/** The path of some file in that folder. */
function inFolder(folder: string | undefined): string | undefined {
  return folder === undefined ? undefined : path.join(folder, 'spill');
}

async function commonFacts(
  { control, qmp }: Config,
  more: readonly (readonly [string, string | undefined])[] = [],
): Promise<Pick<HostFacts, 'memory' | 'folders' | 'overwrite' | 'shim'>> {
  const files: (readonly [string, string | undefined])[] = [
    ['control', control],
    ['qmp', qmp.type === 'unix' ? qmp.path : undefined],
    ...more,
  ];
  const folders = await Promise.all(
    files.map(async ([key, file]) => {
      if (file === undefined) return [];
      const folder = path.dirname(file);
      const why = await errorOf(access(folder, constants.W_OK | constants.X_OK));
      return why === undefined ? [] : [{ key, path: folder, why }];
    }),
  );
  const shim = qmp.type === 'unix' ? await hasShim(qmp.path) : undefined;
  return {
    memory: { totalBytes: totalmem(), availableBytes: await availableBytes() },
    folders: folders.flat(),
    overwrite: false,
    ...(shim !== undefined && { shim }),
  };
}

/** MemAvailable includes memory that the page cache can release; os.freemem() may not. */
async function availableBytes(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}

async function baseFacts(disk: DiskOptions): Promise<BaseFacts> {
  const { name, base, format = 'raw', stateFile } = disk;
  const there = await stat(base).catch(() => undefined);
  const files = await statfs(path.dirname(base)).catch(() => undefined);
  const found = await probeImage(base);
  // An empty file will be grown to the size in the configuration.
  const isEmpty = there?.isFile() === true && there.size === 0;
  // qemu-img rounds a raw file up to whole sectors, which the replica does not have.
  const size = format === 'raw' && there?.isFile() === true ? there.size : found?.sizeBytes;
  const sizeBytes = isEmpty || !size ? disk.sizeBytes : size;
  const facts = {
    name,
    path: base,
    exists: there !== undefined,
    allocatedBytes: (there?.blocks ?? 0) * 512,
    // A block device does not grow.
    ...(files && there?.isBlockDevice() !== true && { freeBytes: files.bavail * files.bsize }),
    format,
    ...(disk.sizeBytes !== undefined && { wantedBytes: disk.sizeBytes }),
    ...(found && !isEmpty && { found: { format: found.format, isInUse: found.isInUse } }),
    ...(sizeBytes !== undefined && { sizeBytes }),
  };
  try {
    const record = await readStateFile(base, stateFile);
    if (record === undefined) return facts;
    const { vm, disk: of, state } = record;
    return { ...facts, record: { vm, disk: of, state } };
  } catch (error) {
    return { ...facts, trouble: (error as Error).message };
  }
}

async function unreachableNbd(key: string, nbd: Address): Promise<HostFacts['unreachable']> {
  const why = await errorOf(probeNbdServer(nbd, { timeoutMs: PROBE_TIMEOUT_MS }));
  return why === undefined ? [] : [{ key, address: addressText(nbd), why }];
}

/**
 * Looks whether something listens, without connecting: to a QEMU in -incoming, a connection is the
 * start of the migration, and QEMU exits when it is closed.
 */
async function unreachableMigrate(key: string, uri: string): Promise<HostFacts['unreachable']> {
  const socket = /^unix:(.+)$/.exec(uri)?.[1];
  const why =
    socket === undefined
      ? await whyNoListener(Number(/:(\d+)$/.exec(uri)?.[1]))
      : await errorOf(stat(socket));
  return why === undefined ? [] : [{ key, address: uri, why }];
}

async function whyNoListener(port: number): Promise<string | undefined> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const listens = tables
    .flatMap((table) => table.split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .some(([, local, , state]) => state === TCP_LISTEN && local?.endsWith(`:${wanted}`) === true);
  return listens ? undefined : 'nothing listens on this port';
}

/** Finds the QEMU with this QMP socket by its command line; undefined if there is none. */
async function hasShim(qmpPath: string): Promise<boolean | undefined> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const [program, ...args] = command.split('\0');
    if (program === undefined || !/qemu|ld-linux/.test(program)) continue;
    if (!args.some((arg) => arg.startsWith(`unix:${qmpPath.replaceAll(',', ',,')},`))) continue;
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => undefined);
    return maps?.includes(SHIM);
  }
  return undefined;
}

async function errorOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
