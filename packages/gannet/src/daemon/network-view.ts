/** For a status: each card of the configuration; nothing where there is none. */
import type { PrimaryDriver, SecondaryDriver } from '@gannet/qmp-driver';
import type { Config, NetworkView } from '@gannet/contract';

interface Shown {
  readonly network?: NetworkView;
}

export function primaryNetwork(config: Config, driver: PrimaryDriver | undefined): Shown {
  const compared = driver?.comparedCards ?? [];
  return view(config, (netdev) => (compared.includes(netdev) ? 'compared' : 'direct'));
}

export function secondaryNetwork(config: Config, driver: SecondaryDriver | undefined): Shown {
  return view(config, () => driver?.network ?? 'unknown');
}

function view(
  { network }: Config,
  stateOf: (netdev: string) => NetworkView[number]['state'],
): Shown {
  if (network.length === 0) return {};
  return { network: network.map(({ netdev }) => ({ netdev, state: stateOf(netdev) })) };
}
