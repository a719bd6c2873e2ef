/** Names that two parts of a configuration must not share. */
import path from 'node:path';
import { stateFileOf } from '@gannet/replicator';
import { type Address, migrationAddress } from './address.js';

export interface Conflict {
  readonly key: string;
  readonly message: string;
}

/** What a configuration uses, with its defaults. */
interface NamedPlaces {
  readonly control: string;
  readonly qmp: Address;
  readonly disks: readonly {
    readonly name: string;
    readonly device: string;
    readonly base?: string | undefined;
  }[];
  readonly network: readonly {
    readonly netdev: string;
    readonly secondary?: Readonly<Record<'mirror' | 'compare', Address>> | undefined;
  }[];
  readonly http?:
    | {
        readonly listen: Address & { readonly type: 'inet' };
        readonly tokenFile: string;
        readonly tls?: { readonly cert: string; readonly key: string } | undefined;
      }
    | undefined;
  readonly primary?:
    { readonly nbd: Address; readonly peer: Address; readonly migrate: string } | undefined;
  readonly secondary?:
    | {
        readonly nbd: Address;
        readonly svm: string;
        readonly peer?: Address | undefined;
        readonly migrate?: string | undefined;
        readonly journal: string;
      }
    | undefined;
}

/** A file, socket or port, the key that names it, and what it is for. */
interface Use {
  readonly key: string;
  readonly place: string;
  /** Two keys with the same purpose mean the same thing, and may have the same place. */
  readonly purpose: string;
}

/**
 * Each file, socket and port of a host has one purpose. Otherwise one part of Gannet, or QEMU,
 * would connect to another, or replace its file. A host may use the keys of both sections; those of
 * `primary` are addresses as that host reaches them, so only the purposes of one side at a time are
 * compared.
 */
export function conflictsOf(config: NamedPlaces): Conflict[] {
  const shared = [...commonUses(config), ...diskUses(config)];
  const found = [
    ...collisions([...shared, ...primaryUses(config)]),
    ...collisions([...shared, ...secondaryUses(config)]),
    ...twice(config.disks, 'name').map((name) => {
      return { key: 'disks', message: `two disks have the name ${name}` };
    }),
    ...twice(config.disks, 'device').map((device) => {
      return { key: 'disks', message: `two disks have the device ${device}` };
    }),
    ...twice(config.network, 'netdev').map((netdev) => {
      return { key: 'network', message: `the netdev ${netdev} is listed twice` };
    }),
  ];
  return [...new Map(found.map((one) => [`${one.key} ${one.message}`, one])).values()];
}

function commonUses({ control, qmp, http }: NamedPlaces): Use[] {
  return [
    fileUse('control', control),
    addressUse('qmp', qmp),
    ...(http ? [fileUse('http.tokenFile', http.tokenFile)] : []),
    // One PEM file may hold both.
    ...(http?.tls ? [fileUse('http.tls.cert', http.tls.cert, 'http.tls')] : []),
    ...(http?.tls ? [fileUse('http.tls.key', http.tls.key, 'http.tls')] : []),
    ...(http && http.listen.port !== 0 ? [addressUse('http.listen', http.listen)] : []),
  ];
}

/**
 * Whether a base is a device. It outlives a reboot, and files beside it do not; a file in /dev/shm
 * goes together with what is beside it.
 */
export function isDevice(base: string): boolean {
  return base.startsWith('/dev/') && !base.startsWith('/dev/shm/');
}

function diskUses({ disks }: NamedPlaces): Use[] {
  const states = new Map<string, Use>();
  const bases = disks.flatMap(({ name, base }) => {
    if (base === undefined) return [];
    const state = fileUse(`disks: the state file of ${name}`, stateFileOf(base));
    // That of a device is elsewhere. Two disks with one base need no second message.
    if (!isDevice(base) && !states.has(base)) states.set(base, state);
    return [fileUse(`disks: the base of ${name}`, base)];
  });
  return [...bases, ...states.values()];
}

function primaryUses({ primary }: NamedPlaces): Use[] {
  if (!primary) return [];
  const { nbd, peer, migrate } = primary;
  const incoming = migrationAddress(migrate);
  return [
    addressUse('primary.nbd', nbd),
    addressUse('primary.peer', peer),
    ...(incoming ? [addressUse('primary.migrate', incoming)] : []),
  ];
}

function secondaryUses({ secondary, network }: NamedPlaces): Use[] {
  if (!secondary) return [];
  const { nbd, svm, peer, migrate, journal } = secondary;
  const incoming = migrate === undefined ? undefined : migrationAddress(migrate);
  return [
    addressUse('secondary.nbd', nbd),
    ...(nbd.type === 'unix' && nbd.path === svm ? [] : [fileUse('secondary.svm', svm)]),
    ...(peer ? [addressUse('secondary.peer', peer)] : []),
    ...(incoming ? [addressUse('secondary.migrate', incoming)] : []),
    fileUse('secondary.journal', journal),
    fileUse('the lock of secondary.journal', `${journal}.lock`),
    ...network.flatMap(({ netdev, secondary: ends }) =>
      (['mirror', 'compare'] as const).flatMap((end) => {
        const at = ends?.[end];
        return at ? [addressUse(`network: secondary.${end} of ${netdev}`, at)] : [];
      }),
    ),
  ];
}

function fileUse(key: string, file: string, purpose = key): Use {
  return { key, place: path.resolve(file), purpose };
}

function addressUse(key: string, at: Address): Use {
  if (at.type === 'unix') return fileUse(key, at.path);
  return { key, place: `${at.host}:${at.port}`, purpose: key };
}

function collisions(uses: readonly Use[]): Conflict[] {
  const first = new Map<string, Use>();
  return uses.flatMap((use) => {
    const before = first.get(use.place) ?? use;
    first.set(use.place, before);
    if (before.purpose === use.purpose) return [];
    return [{ key: use.key, message: `${use.place} is also ${before.key}` }];
  });
}

function twice<K extends string>(all: readonly Readonly<Record<K, string>>[], key: K): string[] {
  const values = all.map((one) => one[key]);
  return [...new Set(values.filter((value, at) => values.indexOf(value) !== at))];
}
