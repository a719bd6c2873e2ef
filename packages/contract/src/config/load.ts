import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { DiskOptions } from '@gannet/replicator';
import { parseDocument } from 'yaml';
import { type Address, isLoopback, socketPath } from './address.js';
import { type ConfigFile, configSchema } from './schema.js';
import { GannetError } from '../errors.js';
import type { NetworkCard } from './network-card.js';
import { type Places, placesOf } from './paths.js';

export type HttpConfig = Omit<NonNullable<ConfigFile['http']>, 'tokenFile'> & {
  readonly tokenFile: string;
};
type SecondarySection = Omit<NonNullable<ConfigFile['secondary']>, 'nbd' | 'svm' | 'journal'> & {
  readonly nbd: Address;
  /** Path of the unix socket at which its own VM finds its disks. */
  readonly svm: string;
  readonly journal: string;
};
/** A configuration file, and where it says nothing, the usual places. */
export type Config = Omit<ConfigFile, 'control' | 'secondary' | 'network' | 'http'> & {
  readonly control: string;
  readonly network: readonly NetworkCard[];
  readonly http?: HttpConfig | undefined;
  readonly secondary?: SecondarySection | undefined;
};
export type PrimaryConfig = Config & { readonly primary: NonNullable<Config['primary']> };
export type SecondaryConfig = Config & { readonly secondary: NonNullable<Config['secondary']> };

/**
 * Reads and checks a configuration file.
 *
 * @throws GannetError GANNET_CONFIG that names the file, each key that is wrong, and what it wants
 */
export async function loadConfig(file: string, places?: Places): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const why = (cause as Error).message;
    throw configError(
      `the configuration ${file} can't be read: ${why}`,
      'Name a file with --config.',
      cause,
    );
  }
  return parseConfig(text, file, places);
}

/** As loadConfig, of a text; `file` is for messages. */
export function parseConfig(text: string, file: string, places: Places = placesOf()): Config {
  let document: unknown;
  try {
    const yaml = parseDocument(text, { logLevel: 'error' });
    // Of a warning nobody would hear, and what it is about, a tag say, would count for nothing.
    const [flaw] = [...yaml.errors, ...yaml.warnings];
    if (flaw) throw flaw;
    document = yaml.toJS();
  } catch (cause) {
    throw configError(`${file} is not YAML: ${(cause as Error).message}`, 'Mend the line.', cause);
  }
  const result = configSchema.safeParse(document);
  if (!result.success) {
    const findings = result.error.issues.map(({ path, message }) => {
      const key = path.length > 0 ? path.join('.') : 'the file';
      return `  ${key}: ${message}`;
    });
    throw configError(`${file}:\n${findings.join('\n')}`, 'Mend these keys.', result.error);
  }
  const names = result.data.disks.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw configError(
      `${file}:\n  disks: the name ${twice} is there twice`,
      'Name each disk once.',
    );
  }
  const cards = result.data.network.map(({ netdev }) => netdev);
  const double = cards.find((netdev, at) => cards.indexOf(netdev) !== at);
  if (double !== undefined) {
    const words = `${file}:\n  network: the netdev ${double} is there twice`;
    throw configError(words, 'Name each netdev once.');
  }
  return withPlaces(result.data, file, places);
}

/** Puts in what follows from the VM's name. Where a tunnel from the other host ends is for the file to say. */
function withPlaces(given: ConfigFile, file: string, { runDir, stateDir }: Places): Config {
  const socket = (key: string, suffix: string): string => {
    const result = socketPath.safeParse(path.join(runDir, `${given.vm}.${suffix}`));
    if (result.success) return result.data;
    const why = result.error.issues[0]?.message ?? 'not a socket path';
    const words = `${file}:\n  ${key}: by default it is in ${runDir}, but ${why}`;
    throw configError(words, 'Name a shorter path.');
  };
  const control = given.control ?? socket('control', 'sock');
  const network = given.network.map((card, at): NetworkCard => {
    const listen = (end: 'mirror' | 'compare'): Address =>
      card.secondary?.[end] ?? {
        type: 'unix',
        path: socket(`network.${at}.secondary.${end}`, `${card.netdev}.${end}`),
      };
    return { ...card, secondary: { mirror: listen('mirror'), compare: listen('compare') } };
  });
  const { secondary } = given;
  const http = given.http && withToken(given.http, path.join(runDir, `${given.vm}.token`), file);
  if (!secondary) return { ...given, control, network, http, secondary };
  const listen = (key: string, suffix: string): Address => {
    return { type: 'unix', path: socket(`secondary.${key}`, suffix) };
  };
  const nbd = secondary.nbd ?? listen('nbd', 'nbd');
  const named = secondary.svm ?? nbd;
  const svm = named.type === 'unix' ? named.path : socket('secondary.svm', 'nbd');
  const journal = secondary.journal ?? path.join(stateDir, `${given.vm}.journal`);
  const peer = secondary.peer ?? (secondary.source === 'colo' ? listen('peer', 'peer') : undefined);
  return { ...given, control, network, http, secondary: { ...secondary, nbd, svm, peer, journal } };
}

/** Beyond loopback nothing is taken for granted. */
function withToken(http: NonNullable<ConfigFile['http']>, usual: string, file: string): HttpConfig {
  const { listen, tls, tokenFile = usual } = http;
  const missing = [...(tls ? [] : ['http.tls']), ...(http.tokenFile ? [] : ['http.tokenFile'])];
  if (isLoopback(listen.host) || missing.length === 0) return { ...http, tokenFile };
  throw configError(
    `${file}:\n  http.listen: ${listen.host} is beyond loopback, and ${missing.join(' and ')} not there`,
    'Give `http.tls.cert`, `http.tls.key` and `http.tokenFile`, or listen on 127.0.0.1 and use a tunnel.',
  );
}

/** Narrows a configuration to one with a section `primary`. @throws GannetError GANNET_CONFIG */
export function asPrimary(config: Config): PrimaryConfig {
  const card = config.network.find(({ primary }) => !primary);
  if (config.primary && card) {
    const message = `network: ${card.netdev} has no section \`primary\``;
    const remedy = "Add it: mirror and compare, the secondary's sockets as seen from the primary.";
    throw configError(message, remedy);
  }
  if (config.primary) return config as PrimaryConfig;
  throw configError('the configuration has no section `primary`', 'Add it: nbd, migrate, peer.');
}

/** Narrows a configuration to one with a section `secondary`. @throws GannetError GANNET_CONFIG */
export function asSecondary(config: Config): SecondaryConfig {
  if (!config.secondary) {
    throw configError(
      'the configuration has no section `secondary`',
      'Add it; `secondary: {}` will do.',
    );
  }
  const without = config.disks.find(({ base }) => base === undefined);
  if (without) {
    const key = `disks: ${without.name} has no base`;
    throw configError(key, 'A secondary needs an image or block device for each disk.');
  }
  if (config.secondary.failover === 'automatic' && !config.fence) {
    throw configError(
      'secondary.failover: automatic failover needs a `fence`',
      'Give `fence.command`, which exits with 0 when the other host is certain not to run the VM.',
    );
  }
  const { qmp } = config;
  if (qmp.type === 'inet' && !isLoopback(qmp.host)) {
    throw configError(
      'qmp: the secondary VM is on another host, and tells of its checkpoints too late from there',
      "Run this daemon beside the secondary VM: its disks are this daemon's too.",
    );
  }
  return config as SecondaryConfig;
}

/** As the replicator wants them. What is in /dev does not outlive a restart, so a state file goes beside the journal. */
export function basesOf({ vm, disks, secondary }: SecondaryConfig): DiskOptions[] {
  const folder = path.dirname(secondary.journal);
  return disks.map(({ name, base = '', format, size }) => {
    const stateFile = base.startsWith('/dev/')
      ? path.join(folder, `${vm}-${name}.gannet`)
      : undefined;
    return { name, base, format, sizeBytes: size, stateFile };
  });
}

function configError(message: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_CONFIG', message, remedy, 'usage', { cause });
}
