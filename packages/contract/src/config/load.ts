import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { DiskOptions } from '@gannet/replicator';
import { type Address, isLoopback, socketPath } from './address.js';
import { conflictsOf, isDevice } from './conflicts.js';
import { ConfigText, plainMessage } from './findings.js';
import { type ConfigFile, configSchema, defaultLink } from './schema.js';
import { GannetError } from '../errors.js';
import type { NetworkCard } from './network-card.js';
import { type Places, placesOf, refuseWritable } from './paths.js';

/** Section `http`, with its defaults filled in. */
export type HttpConfig = Omit<NonNullable<ConfigFile['http']>, 'tokenFile'> & {
  readonly tokenFile: string;
};
type SecondarySection = Omit<NonNullable<ConfigFile['secondary']>, 'nbd' | 'svm' | 'journal'> & {
  readonly nbd: Address;
  /** Path of the unix socket that serves the disks to the secondary VM. */
  readonly svm: string;
  readonly journal: string;
};
type PrimarySection = Omit<NonNullable<ConfigFile['primary']>, 'link'> & {
  readonly link: NonNullable<NonNullable<ConfigFile['primary']>['link']>;
};
type Completed = 'control' | 'termFile' | 'primary' | 'secondary' | 'network' | 'http';
/** A configuration file in which everything that it leaves out has its default. */
export type Config = Omit<ConfigFile, Completed> & {
  readonly control: string;
  readonly termFile: string;
  readonly network: readonly NetworkCard[];
  readonly http?: HttpConfig | undefined;
  readonly primary?: PrimarySection | undefined;
  readonly secondary?: SecondarySection | undefined;
};
/** A configuration that a primary's daemon can use. */
export type PrimaryConfig = Config & { readonly primary: NonNullable<Config['primary']> };
/** A configuration that a secondary's daemon can use. */
export type SecondaryConfig = Config & { readonly secondary: NonNullable<Config['secondary']> };

/**
 * Reads and checks a configuration file.
 *
 * @throws GannetError GANNET_CONFIG that names the file and, for each wrong key, what to write
 */
export async function loadConfig(file: string, places?: Places): Promise<Config> {
  let text: string;
  try {
    await refuseWritable(file);
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof GannetError) throw cause;
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const why = isMissing ? 'there is no such file' : (cause as Error).message;
    const message = `the configuration ${file} cannot be read: ${why}`;
    const remedy =
      'Check the name of the VM and the permissions of the file, or pass another with --config.';
    throw configError(message, remedy, cause);
  }
  return parseConfig(text, file, places);
}

/** Where each configuration was read from, for what turns out to be missing for a role. */
const sources = new WeakMap<Config, ConfigText>();

/**
 * Checks a configuration that was read already.
 *
 * @param file its name, for messages
 * @throws GannetError GANNET_CONFIG as loadConfig()
 */
export function parseConfig(text: string, file: string, places: Places = placesOf()): Config {
  let source: ConfigText;
  try {
    source = new ConfigText(file, text);
  } catch (cause) {
    const message = `${file} is not valid YAML: ${(cause as Error).message}`;
    throw configError(message, 'Correct the line that the message names.', cause);
  }
  const result = configSchema.safeParse(source.document, { error: plainMessage });
  if (!result.success) {
    const message = source.describe(result.error.issues);
    const remedy = 'Correct these keys in the file. docs/reference/config.md describes every key.';
    throw configError(message, remedy, result.error);
  }
  const config = withPlaces(result.data, source, places);
  sources.set(config, source);
  const conflicts = conflictsOf(config);
  if (conflicts.length === 0) return config;
  const lines = conflicts.map(({ key, message }) => `  ${key}: ${message}${source.at(key)}`);
  const remedy = 'Give each of them a name, path or address of its own.';
  throw configError(`${file}:\n${lines.join('\n')}`, remedy);
}

/** Fills in the paths that follow from the VM's name. A tunnel's address has no default. */
function withPlaces(given: ConfigFile, source: ConfigText, { runDir, stateDir }: Places): Config {
  const socket = (key: string, suffix: string): string => {
    const result = socketPath.safeParse(path.join(runDir, `${given.vm}.${suffix}`));
    if (result.success) return result.data;
    const why = result.error.issues[0]?.message ?? 'not a socket path';
    const message = `${source.file}:\n  ${key}: its default is in ${runDir}, but ${why}`;
    throw configError(message + source.at(key), `Set \`${key}\` to a shorter path.`);
  };
  const control = given.control ?? socket('control', 'sock');
  const { vm, termFile = path.join(stateDir, `${termName(vm, given.control)}.term.json`) } = given;
  const network = given.network.map((card, at): NetworkCard => {
    const listen = (end: 'mirror' | 'compare'): Address =>
      card.secondary?.[end] ?? {
        type: 'unix',
        path: socket(`network.${at}.secondary.${end}`, `${card.netdev}.${end}`),
      };
    return { ...card, secondary: { mirror: listen('mirror'), compare: listen('compare') } };
  });
  const { secondary, engine } = given;
  const primary = given.primary && {
    ...given.primary,
    link: given.primary.link ?? defaultLink(engine),
  };
  const http = given.http && withToken(given.http, path.join(runDir, `${given.vm}.token`), source);
  if (!secondary) return { ...given, control, termFile, network, http, primary, secondary };
  const listen = (key: string, suffix: string): Address => {
    return { type: 'unix', path: socket(`secondary.${key}`, suffix) };
  };
  const nbd = secondary.nbd ?? listen('nbd', 'nbd');
  const named = secondary.svm ?? nbd;
  const svm = named.type === 'unix' ? named.path : socket('secondary.svm', 'nbd');
  const journal = secondary.journal ?? path.join(stateDir, `${given.vm}.journal`);
  const peer = secondary.peer ?? (secondary.source === 'colo' ? listen('peer', 'peer') : undefined);
  const isOurs = engine === 'vsmr' && secondary.migrate === undefined;
  const migrate = isOurs ? `unix:${socket('secondary.migrate', 'migrate')}` : secondary.migrate;
  const section = { ...secondary, nbd, svm, peer, migrate, journal };
  return { ...given, control, termFile, network, http, primary, secondary: section };
}

/** Two daemons of a VM on one host have two control sockets, and must not share a term file. */
function termName(vm: string, control: string | undefined): string {
  return control === undefined ? vm : `${vm}-${path.parse(control).name}`;
}

/** Off loopback, TLS and a token file must be named explicitly. */
function withToken(
  http: NonNullable<ConfigFile['http']>,
  usual: string,
  source: ConfigText,
): HttpConfig {
  const { listen, tls, tokenFile = usual } = http;
  const missing = [...(tls ? [] : ['http.tls']), ...(http.tokenFile ? [] : ['http.tokenFile'])];
  if (isLoopback(listen.host) || missing.length === 0) return { ...http, tokenFile };
  const message =
    `${listen.host} is not a loopback address, ` + `so ${missing.join(' and ')} must be set`;
  const remedy =
    'Set `http.tls.cert`, `http.tls.key` and `http.tokenFile`, ' +
    'or listen on 127.0.0.1 and use a tunnel.';
  throw configError(message + source.at('http.listen'), remedy);
}

/**
 * Narrows a configuration to what a primary's daemon needs.
 *
 * @throws GannetError GANNET_CONFIG if a section is missing
 */
export function asPrimary(config: Config): PrimaryConfig {
  const at = config.network.findIndex(({ primary }) => !primary);
  const card = config.network[at];
  if (config.primary && card) {
    const message = `network: ${card.netdev} has no section \`primary\``;
    const remedy =
      "Add it, with `mirror` and `compare`: the secondary's sockets as the primary reaches them.";
    throw unfitError(config, message, remedy, `network.${at}`);
  }
  if (config.primary) return config as PrimaryConfig;
  const message = 'the configuration has no section `primary`';
  throw unfitError(config, message, 'Add it, with the keys `nbd`, `migrate` and `peer`.');
}

/**
 * Narrows a configuration to what a secondary's daemon needs.
 *
 * @throws GannetError GANNET_CONFIG if a key is missing, or the secondary VM is not on this host
 */
export function asSecondary(config: Config): SecondaryConfig {
  if (!config.secondary) {
    const message = 'the configuration has no section `secondary`';
    throw unfitError(config, message, 'Add it; `secondary: {}` is enough.');
  }
  const at = config.disks.findIndex(({ base }) => base === undefined);
  const without = config.disks[at];
  if (without) {
    const message = `disks: ${without.name} has no base`;
    const remedy = 'Set its `base`: the image file or block device that holds the replica.';
    throw unfitError(config, message, remedy, `disks.${at}`);
  }
  if (config.secondary.failover === 'automatic' && !config.fence) {
    const remedy =
      'Set `fence.command` to a program that exits with 0 ' +
      'once the other host no longer runs the VM.';
    const message = 'secondary.failover: automatic failover needs a `fence`';
    throw unfitError(config, message, remedy, 'secondary.failover');
  }
  const { qmp } = config;
  if (qmp.type === 'inet' && !isLoopback(qmp.host)) {
    const message = 'qmp: the secondary VM is on another host; its events would arrive too late';
    const remedy =
      'Run this daemon on the host of the secondary VM, ' +
      'and set `qmp` to a unix socket or a loopback address.';
    throw unfitError(config, message, remedy, 'qmp');
  }
  return config as SecondaryConfig;
}

/**
 * The disks as the replicator's options. The state file of a device is put beside the journal,
 * because files in /dev do not survive a reboot.
 */
export function basesOf({ vm, disks, secondary }: SecondaryConfig): DiskOptions[] {
  const folder = path.dirname(secondary.journal);
  return disks.map(({ name, base = '', format, size }) => {
    const stateFile = isDevice(base) ? path.join(folder, `${vm}-${name}.gannet`) : undefined;
    return { name, base, format, sizeBytes: size, stateFile };
  });
}

/** As it stands, it is for the other role: with the file, and the place of the key. */
function unfitError(config: Config, message: string, remedy: string, key = ''): GannetError {
  const source = sources.get(config);
  const place = key === '' ? '' : source?.at(key);
  return configError(source ? `${source.file}:\n  ${message}${place}` : message, remedy);
}

function configError(message: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_CONFIG', message, remedy, 'usage', { cause });
}
