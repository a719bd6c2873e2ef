import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { type Config, loadConfig } from './load.js';
import { GannetError } from '../errors.js';
import { type Places, placesOf } from './paths.js';

/** How a command was told which VM it is about: `gannet status web`, or `gannet status --config FILE`. */
export interface ConfigChoice {
  readonly vm?: string | undefined;
  readonly config?: string | undefined;
}

/**
 * @throws GannetError GANNET_USAGE without a choice, GANNET_CONFIG as loadConfig(), and for a file whose VM has another name than the
 *   file: `gannet failover web` must not be about `db`
 */
export async function findConfig(
  choice: ConfigChoice,
  places: Places = placesOf(),
): Promise<Config> {
  const { vm, config: named } = choice;
  if (named !== undefined && vm === undefined) return loadConfig(named, places);
  if (vm === undefined || named !== undefined) {
    const message = vm === undefined ? 'which VM?' : 'a VM or --config is wanted, not both';
    const remedy = `Name one of ${places.configDir} (${await namesIn(places.configDir)}), or a file with --config.`;
    throw new GannetError('GANNET_USAGE', message, remedy, 'usage');
  }
  if (vm !== path.basename(vm)) {
    const remedy = `A VM's name stands for ${places.configDir}/NAME.yaml; files go with --config.`;
    throw new GannetError('GANNET_USAGE', `${vm} is no name of a VM`, remedy, 'usage');
  }
  const file = path.join(places.configDir, `${vm}.yaml`);
  const config = await loadConfig(file, places);
  if (config.vm === vm) return config;
  throw new GannetError(
    'GANNET_CONFIG',
    `${file}:\n  vm: it is ${config.vm}, but the file's name says ${vm}`,
    'Give both the same name, or name the file with --config.',
    'usage',
  );
}

async function namesIn(folder: string): Promise<string> {
  const files = await readdir(folder).catch(() => []);
  const names = files.filter((file) => file.endsWith('.yaml')).map((file) => file.slice(0, -5));
  return names.length > 0 ? names.sort().join(', ') : 'none there yet';
}
