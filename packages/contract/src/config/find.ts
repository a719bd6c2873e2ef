import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Config, loadConfig } from './load.js';
import { nearest } from '../nearest.js';
import { GannetError } from '../errors.js';
import { type Places, placesOf } from './paths.js';

/** How a command names its VM: `gannet status web`, or `gannet status --config FILE`. */
export interface ConfigChoice {
  readonly vm?: string | undefined;
  readonly config?: string | undefined;
}

/**
 * Reads the configuration of the VM that a command names.
 *
 * @throws GannetError GANNET_USAGE if no VM is named, or both a VM and a file, or a VM without one
 * @throws GannetError GANNET_CONFIG as loadConfig(), and if file name and `vm` differ:
 *   `gannet failover web` must not act on the VM `db`
 */
export async function findConfig(
  choice: ConfigChoice,
  places: Places = placesOf(),
): Promise<Config> {
  const { vm, config: named } = choice;
  if (named !== undefined && vm === undefined) return loadConfig(named, places);
  if (vm === undefined || named !== undefined) {
    const message =
      vm === undefined ? 'no VM is named' : 'name either a VM or a file with --config, not both';
    const known = (await configuredVms(places)).join(', ') || 'there is none yet';
    const remedy =
      `Name a VM that has a file in ${places.configDir} (${known}), ` +
      'or pass its file with --config.';
    throw new GannetError('GANNET_USAGE', message, remedy, 'usage');
  }
  if (vm !== path.basename(vm)) {
    const remedy = `NAME means ${places.configDir}/NAME.yaml; pass other files with --config.`;
    throw new GannetError('GANNET_USAGE', `${vm} is not the name of a VM`, remedy, 'usage');
  }
  const file = path.join(places.configDir, `${vm}.yaml`);
  if (await isMissing(file)) throw unknownVm(vm, file, await configuredVms(places));
  const config = await loadConfig(file, places);
  if (config.vm === vm) return config;
  throw new GannetError(
    'GANNET_CONFIG',
    `${file}:\n  vm: is ${config.vm}, but the file is named after ${vm}`,
    'Rename the file or the VM so that they match, or pass the file with --config.',
    'usage',
  );
}

async function isMissing(file: string): Promise<boolean> {
  return stat(file).then(
    () => false,
    (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT',
  );
}

function unknownVm(vm: string, file: string, known: readonly string[]): GannetError {
  const meant = nearest(vm, known);
  const question = meant === undefined ? '' : `Did you mean ${meant}? `;
  const remedy =
    known.length === 0
      ? 'No VM is configured on this host. A file elsewhere is passed with --config.'
      : `${question}VMs of this host: ${known.join(', ')}. ` +
        'A file elsewhere is passed with --config.';
  return new GannetError(
    'GANNET_USAGE',
    `no VM ${vm} is configured on this host: there is no file ${file}`,
    remedy,
    'usage',
  );
}

/** The names of the VMs that have a configuration on this host, sorted. */
export async function configuredVms({ configDir }: Places): Promise<string[]> {
  const files = await readdir(configDir).catch(() => []);
  return files
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -5))
    .sort();
}
