/** Back ends of network cards, from what the human monitor says of them (`info network`). */
import { freeName } from '../disk/graph.js';
import { finding, type Finding } from '../inspect/finding.js';
import { optionText } from './option-text.js';
import type { NetdevReport } from '../inspect/vm-report.js';

/** The secondary's name of a back end by the primary's. QEMU makes up some that begin with #. */
export type NetdevNames = ReadonlyMap<string, string>;

export interface NetdevOptions {
  readonly backends?: Readonly<Record<string, string>>;
  /** Back ends that are kept from the network until a failover. */
  readonly network?: readonly string[];
}

export function netdevNames(netdevs: readonly NetdevReport[]): NetdevNames {
  const taken = new Set(netdevs.map(({ id }) => id));
  return new Map(
    netdevs.map(({ id }) => {
      const name = id.startsWith('#') ? freeName(id.slice(1), taken) : id;
      taken.add(name);
      return [id, name];
    }),
  );
}

export function netdevArguments(
  netdevs: readonly NetdevReport[],
  names: NetdevNames,
  { backends = {}, network: keptApart = [] }: NetdevOptions,
  findings: Finding[],
): string[] {
  return netdevs.flatMap((netdev) => {
    const { type, settings, hub } = netdev;
    const id = names.get(netdev.id) ?? netdev.id;
    const backend = backends[id] ?? backends[netdev.id] ?? derive(netdev);
    if (backend === undefined) {
      const message = `the network back end ${id} (${type},${settings}) cannot be derived`;
      const remedy = 'Say what it is to be on the secondary host.';
      findings.push(finding('error', 'netdev-not-derived', message, remedy, id));
      return [];
    }
    const port =
      hub === undefined
        ? []
        : ['-netdev', `hubport,${optionText([...hubEntries(hub), ['netdev', id]])}`];
    if (type !== 'hubport' && !keptApart.includes(id)) {
      const message = `${id} connects the secondary's guest to the network as ${backend}`;
      const remedy =
        'Put it into `network`, or keep it apart until a failover: a tap not in the bridge yet.';
      findings.push(finding('warning', 'network-doubled', message, remedy, id));
    }
    return ['-netdev', `${backend},${optionText([['id', id]])}`, ...port];
  });
}

function hubEntries({ id, port }: NonNullable<NetdevReport['hub']>): [string, string][] {
  return [
    ['id', port],
    ['hubid', id],
  ];
}

function derive({ type, settings }: NetdevReport): string | undefined {
  const of = (name: string): string | undefined =>
    new RegExp(`(?:^|,)${name}=([^,]*)`).exec(settings)?.[1];
  const options = (...names: string[]): [string, string][] =>
    names.flatMap((name): [string, string][] => {
      const value = of(name);
      return value === undefined || value === '' ? [] : [[name, value]];
    });
  // Forwarded ports of the host are the primary's.
  if (type === 'user') return 'user';
  if (type === 'hubport') return `hubport,${optionText(options('hubid'))}`;
  if (type === 'tap' && of('br') !== undefined) return `bridge,${optionText(options('br'))}`;
  if (type !== 'tap' || of('ifname') === undefined) return undefined;
  return `tap,${optionText([...options('ifname'), ['script', 'no'], ['downscript', 'no']])}`;
}
