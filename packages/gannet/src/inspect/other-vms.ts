/** What else a host runs, for as far as it concerns the fence of a VM. */
import {
  type Config,
  configuredVms,
  ControlClient,
  findConfig,
  type Places,
  placesOf,
} from '@gannet/contract';
import { hostFinding, type HostFinding } from './host-findings.js';

const ANSWER_MS = 2000;

/** Another VM of a host whose daemon runs there. */
export interface OtherVm {
  readonly vm: string;
  readonly role: 'primary' | 'secondary';
  /** How long after a cut its primary fences; null without a fence. */
  readonly fencesAfterMs: number | null;
}

/** The two sides of a VM, as far as it matters here. */
interface Side {
  readonly fencesAfterMs?: number | null;
  readonly others?: readonly OtherVm[];
}

/** How long after a cut the primary of this configuration fences the other host. */
export function fencesAfterMs({ fence, peer }: Config): number | null {
  return fence ? peer.highMs + fence.delayMs : null;
}

/** The other VMs that have a configuration on this host and a daemon that answers. */
export async function otherVms(own: string, places: Places = placesOf()): Promise<OtherVm[]> {
  const names = await configuredVms(places);
  const others = names.filter((name) => name !== own).map((name) => otherVm(name, places));
  return (await Promise.all(others)).flatMap((other) => other ?? []);
}

async function otherVm(name: string, places: Places): Promise<OtherVm | undefined> {
  try {
    const config = await findConfig({ vm: name }, places);
    const client = await ControlClient.connect(config.control, ANSWER_MS);
    try {
      const { role } = await client.call('status', {});
      return { vm: name, role, fencesAfterMs: fencesAfterMs(config) };
    } finally {
      client.close();
    }
  } catch {
    // A configuration that is wrong, or a daemon that does not run: `gannet check` of that VM says.
    return undefined;
  }
}

/**
 * Another VM whose primary is the other host: after a cut, each host fences the other.
 *
 * @param fenceMs how long a fence may take: the delays must differ by more
 */
export function crosswiseFindings(
  primary: Side,
  secondary: Side,
  fenceMs: number | undefined,
): HostFinding[] {
  const own = primary.fencesAfterMs ?? null;
  if (own === null || fenceMs === undefined) return [];
  const backups = new Set(
    (primary.others ?? []).filter(({ role }) => role === 'secondary').map(({ vm }) => vm),
  );
  return (secondary.others ?? [])
    .filter(({ vm, role }) => role === 'primary' && backups.has(vm))
    .filter((other) => Math.abs((other.fencesAfterMs ?? Infinity) - own) <= fenceMs)
    .map(({ vm }) => {
      const message =
        `${vm} runs the other way round between the same two hosts: after a cut of the network, ` +
        'each host fences the other, and both are off';
      const remedy =
        'On one of the hosts, set `fence.delayMs` in the configurations of all VMs to more than ' +
        `a fence may take (\`fence.timeoutMs\`, ${fenceMs} ms).`;
      return hostFinding('warning', 'fence-crosswise', message, remedy);
    });
}
