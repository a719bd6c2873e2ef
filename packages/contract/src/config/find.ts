import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from './load.js';
import { nearest } from '../nearest.js';
import { GannetError } from '../errors.js';
import { type Places, placesOf, refuseWritable, SOCKET_PATH_BYTES_MAX } from './paths.js';

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
  const { vm } = choice;
  const file = await findFile(choice, places);
  // Imported when it is needed, with zod and the parser of YAML: findDaemon() must start fast.
  const { loadConfig } = await import('./load.js');
  const config = await loadConfig(file, places);
  if (vm === undefined || config.vm === vm) return config;
  throw new GannetError(
    'GANNET_CONFIG',
    `${file}:\n  vm: is ${config.vm}, but the file is named after ${vm}`,
    'Rename the file or the VM so that they match, or pass the file with --config.',
    'usage',
  );
}

/** Where the daemon of a VM listens. */
export interface DaemonPlace {
  readonly vm: string;
  /** Path of its control socket. */
  readonly control: string;
}

/**
 * Finds the daemon of the VM that a command names. If `vm` and `control` can be read without a
 * parser, the rest of the file is not checked: the daemon did that when it started, and an edit
 * that went wrong since then must not prevent a failover.
 *
 * @throws GannetError as findConfig()
 */
export async function findDaemon(
  choice: ConfigChoice,
  places: Places = placesOf(),
): Promise<DaemonPlace> {
  const file = await findFile(choice, places);
  const text = await readFile(file, 'utf8').catch(() => '');
  const place = plainPlaceOf(text, places);
  if (!place || (choice.vm ?? place.vm) !== place.vm) return findConfig(choice, places);
  await refuseWritable(file);
  return place;
}

/** A line of a mapping that fills the document, or of what is below one of its keys. */
const BLOCK_LINE = /^(?:[A-Za-z]+:(?: .*)?|- .*|[ ].*|#.*|)$/;
/** YAML reads some words as something else than text. */
const PLAIN_VM = /^(?!(?:true|false|null)$)[A-Za-z][A-Za-z0-9_-]{0,63}$/i;
const PLAIN_PATH = /^\/[A-Za-z0-9._/-]+$/;

/**
 * Both keys as a parser of YAML would read them. In a block mapping, only a key begins in the first
 * column, so a line tells. Undefined for everything that is not as plain as that.
 */
export function plainPlaceOf(text: string, { runDir }: Places): DaemonPlace | undefined {
  const lines = text.replace(/^---\n/, '').split(/\r?\n/);
  if (!lines.every((line) => BLOCK_LINE.test(line))) return undefined;
  const filled = lines.filter((line) => line !== '');
  const vm = plainValue(filled, 'vm');
  if (vm === undefined || !PLAIN_VM.test(vm)) return undefined;
  const isNamed = filled.some((line) => line.startsWith('control:'));
  const control = isNamed ? plainValue(filled, 'control') : path.join(runDir, `${vm}.sock`);
  if (control === undefined || Buffer.byteLength(control) > SOCKET_PATH_BYTES_MAX) return undefined;
  return isNamed && !PLAIN_PATH.test(control) ? undefined : { vm, control };
}

/** Of a key that occurs once, and whose value is not continued below it. */
function plainValue(lines: readonly string[], key: string): string | undefined {
  const at = lines.findIndex((line) => line.startsWith(`${key}: `));
  const next = lines[at + 1] ?? '';
  if (next.startsWith(' ') || lines.filter((line) => line.startsWith(`${key}:`)).length !== 1) {
    return undefined;
  }
  return lines[at]
    ?.slice(key.length + 1)
    .replace(/ #.*$/, '')
    .trim();
}

async function findFile({ vm, config: named }: ConfigChoice, places: Places): Promise<string> {
  if (named !== undefined && vm === undefined) return named;
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
  return file;
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
