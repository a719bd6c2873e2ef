import type { About, NetworkView, PeerStatus, QemuState, Status } from '@gannet/contract';
import { formatAge, formatBytes } from '@gannet/contract/format';

/** One of the two sides, as far as this daemon knows. */
export interface Side {
  readonly role: 'primary' | 'secondary';
  readonly isHere: boolean;
  readonly host: string;
  readonly state: PeerStatus['state'];
  readonly vm: QemuState | 'unknown';
  readonly trouble: string;
  readonly about: About | undefined;
  /** How old all of this is, if its daemon does not answer now. */
  readonly staleMs: number | undefined;
  /** State of each network card, in words; only for the side of this daemon. */
  readonly network: readonly string[];
}

/** What the replica holds in memory. */
export interface Buffers {
  readonly primary: number;
  readonly secondary: number;
  readonly committed: number;
  readonly softBytes: number;
  readonly hardBytes: number;
  /** With `spill`, pages beyond a quarter of the budget move to a file. */
  readonly onFull?: string | undefined;
  readonly spilled?: number | undefined;
  readonly spillTrouble?: string | null | undefined;
}

/** Both sides and what connects them. */
export interface Overview {
  readonly primary: Side;
  readonly secondary: Side;
  /**
   * The link for the primary's writes: `connected`, `none`, `unknown`, `lost` or why it was lost.
   */
  readonly link: string;
  readonly pulse: Status['peer']['pulse'];
  readonly silentMs: number | undefined;
  readonly epoch: number;
  readonly mayFailOver: boolean | undefined;
  readonly buffers: Buffers | undefined;
  /** Of a copy that waits for a failover: how long its memory lasts. */
  readonly waiting: string | undefined;
  readonly seed: Seed | undefined;
}

/** Progress of the first copy. */
export interface Seed {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSec: number;
  readonly secondsLeft: number | null;
}

/** The same view from either daemon: it knows the other side from heartbeats. */
export function overviewOf(status: Status): Overview {
  const { peer, epoch } = status;
  const other = peer.status;
  const there: Omit<Side, 'role'> = {
    isHere: false,
    host: other?.host ?? '',
    state: other?.state ?? 'unknown',
    vm: other?.vm ?? 'unknown',
    trouble: other?.trouble ?? '',
    about: other?.about,
    staleMs: peer.pulse === 'lost' ? (peer.silentMs ?? 0) : undefined,
    network: [],
  };
  const network = networkWords(status);
  const waiting = waitingWords(status);
  const common = { pulse: peer.pulse, silentMs: peer.silentMs, epoch, waiting };
  const { host, state, about } = status;
  const here = { isHere: true, host, state, about, staleMs: undefined, network } as const;
  if (status.role === 'primary') {
    const { primaryVm: vm, primaryVmTrouble, seed } = status;
    return {
      ...common,
      primary: { ...here, role: 'primary', state, vm, trouble: primaryVmTrouble ?? '' },
      secondary: { ...there, role: 'secondary' },
      link: other?.link ? LINKS[other.link] : 'unknown',
      mayFailOver: other?.mayFailOver,
      buffers: other?.buffers,
      seed,
    };
  }
  const { secondaryVm: vm, secondaryVmTrouble, baseTrouble, mayFailOver, buffers } = status;
  const trouble = secondaryVmTrouble ?? baseTrouble ?? '';
  return {
    ...common,
    primary: { ...there, role: 'primary' },
    secondary: { ...here, role: 'secondary', state, vm, trouble },
    link: status.linkLoss ?? LINKS[status.linkState],
    mayFailOver,
    buffers,
    seed: other?.seed,
  };
}

const LINKS = { whole: 'connected', none: 'none', lost: 'lost' } as const;
const CARD: Readonly<Record<NetworkView[number]['state'], string>> = {
  direct: 'packets go out directly',
  compared: 'packets wait until both guests have sent the same',
  walled: 'packets are held back until a failover',
  open: 'packets go out from here',
  unknown: 'unknown',
};

function networkWords({ network = [] }: Status): string[] {
  return network.map(({ netdev, state }) => `${netdev}: ${CARD[state]}`);
}

/** How long a copy that waits for a failover can go on, in words; undefined unless it waits. */
export function waitingWords(status: Status): string | undefined {
  const waiting = status.role === 'secondary' ? status.waiting : undefined;
  if (!waiting) return undefined;
  const { guest, hardSeconds, isLastCommitKept } = waiting;
  const left =
    guest === 'stopped'
      ? 'full: the guest is stopped until a failover'
      : hardSeconds === null
        ? 'does not fill up at the present rate'
        : `lasts for about ${formatAge(1000 * hardSeconds)}, then the guest is stopped`;
  const kept = isLastCommitKept ? 'in the base images' : 'not yet in the base images';
  return `${left}; the last commit is ${kept}`;
}

/** How much is in the spill file, in words; undefined if none is used. */
export function spillWords({ onFull, spilled = 0, spillTrouble }: Buffers): string | undefined {
  if (onFull !== 'spill' && spilled === 0) return undefined;
  const trouble = spillTrouble == null ? '' : `, which takes no more: ${spillTrouble}`;
  return `${spilled === 0 ? 'nothing' : formatBytes(spilled)} in the spill file${trouble}`;
}
