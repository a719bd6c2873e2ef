import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { GannetError } from '../errors.js';

/** Longest path that fits a socket address on Linux. */
export const SOCKET_PATH_BYTES_MAX = 107;

const OTHERS_MAY_WRITE = 0o002;
const GROUP_MAY_WRITE = 0o020;
const STICKY = 0o1000;

/** The folders for the files of all VMs of this host. A configuration may name other paths. */
export interface Places {
  /** For `VM.yaml`. */
  readonly configDir: string;
  /** For journals, which must survive a reboot. */
  readonly stateDir: string;
  /** For sockets. */
  readonly runDir: string;
}

/**
 * The folders, from the first of these that is set: Gannet's own variables, so that a command can
 * find a daemon's files; systemd's (systemd.exec(5), RuntimeDirectory=; the first of several); the
 * defaults of the Filesystem Hierarchy Standard 3.0.
 */
export function placesOf(env: NodeJS.ProcessEnv = process.env): Places {
  const place = (ours: string, systemds: string, usual: string): string =>
    path.resolve(env[ours] || env[systemds]?.split(':')[0] || usual);
  return {
    configDir: place('GANNET_CONFIG_DIR', 'CONFIGURATION_DIRECTORY', '/etc/gannet'),
    stateDir: place('GANNET_STATE_DIR', 'STATE_DIRECTORY', '/var/lib/gannet'),
    runDir: place('GANNET_RUN_DIR', 'RUNTIME_DIRECTORY', '/run/gannet'),
  };
}

/**
 * Creates the state and runtime folders if `files` are in them, with mode 0700. Other folders are
 * not created.
 *
 * @throws GannetError GANNET_CONFIG if a folder cannot be created
 */
export async function makePlaces(
  files: readonly string[],
  { stateDir, runDir }: Places = placesOf(),
): Promise<void> {
  const folders = new Set(files.map((file) => path.dirname(file)));
  for (const folder of [stateDir, runDir]) {
    if (!folders.has(folder)) continue;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      const message = `the folder ${folder} cannot be created: ${(cause as Error).message}`;
      const remedy = 'Run as root, or name other folders: GANNET_RUN_DIR, GANNET_STATE_DIR.';
      throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
    }
  }
}

/**
 * Who can write a configuration has its commands run, and its files replaced, by the daemon.
 *
 * @throws GannetError GANNET_CONFIG if others may write it
 */
export async function refuseWritable(file: string): Promise<void> {
  const { mode, gid } = await stat(file);
  const folder = path.dirname(path.resolve(file));
  const { mode: folderMode } = await stat(folder);
  const [what, who] =
    (mode & OTHERS_MAY_WRITE) !== 0
      ? [file, 'every user of this host']
      : (mode & GROUP_MAY_WRITE) !== 0 && gid !== 0
        ? [file, `the group ${gid}`]
        : (folderMode & (OTHERS_MAY_WRITE | STICKY)) === OTHERS_MAY_WRITE
          ? [folder, 'every user of this host']
          : [];
  if (what === undefined) return;
  const message =
    `${file}: ${who} may write ${what === file ? 'it' : `the folder ${what}`}, ` +
    'and so have the daemon run any command';
  const remedy = `Run \`chmod go-w ${what}\`, and look at the file: it may have been changed.`;
  throw new GannetError('GANNET_CONFIG', message, remedy, 'usage');
}
