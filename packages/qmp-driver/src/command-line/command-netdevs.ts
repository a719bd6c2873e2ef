/** Back ends of network cards, from what the human monitor says of them (`info network`). */
import { finding, type Finding } from '../inspect/finding.js';
import { optionText } from './option-text.js';
import type { NetdevReport } from '../inspect/vm-report.js';

export function netdevArguments(
  netdevs: readonly NetdevReport[],
  backends: Readonly<Record<string, string>>,
  keptApart: readonly string[],
  findings: Finding[],
): string[] {
  return netdevs.flatMap((netdev) => {
    const { id, type, settings } = netdev;
    const backend = backends[id] ?? derive(netdev);
    if (backend === undefined) {
      const message = `the network back end ${id} (${type},${settings}) cannot be derived`;
      const remedy = 'Say what it is to be on the secondary host.';
      findings.push(finding('error', 'netdev-not-derived', message, remedy, id));
      return [];
    }
    if (!keptApart.includes(id)) {
      const message = `${id} connects the secondary's guest to the network as ${backend}`;
      const remedy =
        'Put it into `network`, or keep it apart until a failover: a tap not in the bridge yet.';
      findings.push(finding('warning', 'network-doubled', message, remedy, id));
    }
    return ['-netdev', `${backend},${optionText([['id', id]])}`];
  });
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
  if (type === 'tap' && of('br') !== undefined) return `bridge,${optionText(options('br'))}`;
  if (type !== 'tap' || of('ifname') === undefined) return undefined;
  return `tap,${optionText([...options('ifname'), ['script', 'no'], ['downscript', 'no']])}`;
}
