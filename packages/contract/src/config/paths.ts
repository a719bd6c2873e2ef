import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { GannetError } from '../errors.js';

/** Where the files of all VMs of this host are, unless a configuration says otherwise. */
export interface Places {
  /** `VM.yaml` */
  readonly configDir: string;
  /** What has to outlive a restart: journals. */
  readonly stateDir: string;
  /** Sockets. */
  readonly runDir: string;
}

/**
 * Ours first, so that somebody who calls the command can say where a daemon has its files; then what systemd tells a
 * service (systemd.exec(5), RuntimeDirectory=; the first of several); then where such files belong (FHS 3.0).
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
 * Makes those folders that the files are to be in, for their owner alone. A folder anywhere else is its owner's affair.
 *
 * @throws GannetError GANNET_CONFIG
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
      const message = `the folder ${folder} can't be made: ${(cause as Error).message}`;
      const remedy = 'Run as root, or choose others: GANNET_RUN_DIR, GANNET_STATE_DIR.';
      throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
    }
  }
}
