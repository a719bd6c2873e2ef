/** What an operator needs first: where the guest runs, since when, what a takeover would undo. */
import type { About, DaemonEvent, PeerStatus, Status } from '@gannet/contract';
import { formatAge, formatBytes, formatMoment } from '@gannet/contract/format';
import { hasTakenOver } from '@gannet/contract/states';

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** Of a first copy or a failover, in words; `doneBytes` where it can be counted. */
export interface WorkProgress {
  readonly words: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export interface Glance {
  readonly facts: readonly Fact[];
  readonly progress: WorkProgress | undefined;
}

/** Both sides by role; either may be this daemon's own. */
interface Pair {
  readonly primaryHost: string;
  readonly primaryState: PeerStatus['state'];
  readonly primaryAbout: About | undefined;
  readonly secondaryHost: string;
  readonly secondary: {
    readonly state: PeerStatus['state'];
    readonly mayFailOver: boolean;
    readonly commitAgeMs: number | undefined;
    readonly about: About | undefined;
  };
}

export function glanceOf(status: Status, events: readonly DaemonEvent[], nowMs: number): Glance {
  const pair = pairOf(status);
  const facts = [
    { name: 'Guest', value: guestWords(status, pair) },
    { name: 'So since', value: formatMoment(status.health.since, nowMs) },
    { name: 'A takeover now undoes', value: undoneWords(pair) },
    { name: 'Memory', value: memoryWords(status) },
    { name: 'Failover', value: policyWords(pair) },
    { name: 'Fence', value: fenceWords(pair) },
    { name: 'Last command', value: commandWords(events, nowMs) },
  ];
  return {
    facts: facts.filter((fact): fact is Fact => fact.value !== undefined),
    progress: progressOf(status),
  };
}

function pairOf(status: Status): Pair {
  const { host, peer } = status;
  const there = peer.status;
  const otherHost = there?.host ?? '';
  if (status.role === 'secondary') {
    const { state, mayFailOver, commitAgeMs, about } = status;
    const secondary = { state, mayFailOver, commitAgeMs, about };
    const primaryState = there?.state ?? 'unknown';
    const primaryAbout = there?.about;
    return { primaryHost: otherHost, primaryState, primaryAbout, secondaryHost: host, secondary };
  }
  const age = there?.commitAgeMs;
  return {
    primaryHost: host,
    primaryState: status.state,
    primaryAbout: status.about,
    secondaryHost: otherHost,
    secondary: {
      state: there?.state ?? 'unknown',
      mayFailOver: there?.mayFailOver ?? false,
      commitAgeMs: age === undefined ? undefined : age + (peer.silentMs ?? 0),
      about: there?.about,
    },
  };
}

function guestWords({ health }: Status, { primaryHost, secondaryHost }: Pair): string {
  switch (health.guest) {
    case 'primary':
      return `runs on ${primaryHost || 'the primary'}`;
    case 'secondary':
      return `runs on ${secondaryHost || 'the secondary'}`;
    case 'both':
      return 'may run twice';
    case 'nowhere':
      return 'does not run';
    case 'unknown':
      return 'not known from here';
  }
}

/** Of these primaries the secondary may have to take over. */
const REPLACEABLE: readonly PeerStatus['state'][] = ['protected', 'yielding', 'unknown'];

function undoneWords({ primaryState, secondary }: Pair): string | undefined {
  const { state, mayFailOver, commitAgeMs } = secondary;
  if (state !== 'protected' || !REPLACEABLE.includes(primaryState)) return undefined;
  if (!mayFailOver) return 'not possible now';
  return commitAgeMs === undefined ? undefined : `the last ${formatAge(commitAgeMs)}`;
}

/** Of a copy that waits for a failover. */
function memoryWords(status: Status): string | undefined {
  const waiting = status.role === 'secondary' ? status.waiting : undefined;
  if (!waiting) return undefined;
  const { guest, hardSeconds } = waiting;
  if (guest === 'stopped') return 'full: guest stopped';
  return hardSeconds === null
    ? 'does not fill up at the present rate'
    : `full in about ${formatAge(1000 * hardSeconds)}`;
}

function policyWords({ secondary: { state, about } }: Pair): string | undefined {
  if (about?.failover === undefined || hasTakenOver(state)) return undefined;
  return about.failover;
}

/** Which fence each host would use on the other. An earlier version does not name it. */
function fenceWords({
  primaryHost,
  primaryAbout,
  secondaryHost,
  secondary,
}: Pair): string | undefined {
  if (hasTakenOver(secondary.state)) return undefined;
  const ofHost = (host: string, about: About | undefined): string[] => {
    if (!about) return [];
    return [`${host}: ${about.fence ?? (about.hasFence ? 'configured' : 'none')}`];
  };
  const all = [...ofHost(primaryHost, primaryAbout), ...ofHost(secondaryHost, secondary.about)];
  return all.length === 0 ? undefined : all.join(', ');
}

/** Who asked for what, last. */
function commandWords(events: readonly DaemonEvent[], nowMs: number): string | undefined {
  const last = events.findLast(({ kind }) => kind === 'command');
  if (last?.kind !== 'command') return undefined;
  const { name, phase, actor, at } = last;
  const how = phase === 'begins' ? 'under way' : phase;
  return `${name}, ${how}, by ${actor}, ${formatMoment(at, nowMs)}`;
}

function progressOf(status: Status): WorkProgress | undefined {
  if (status.role === 'secondary' && status.failover) {
    const { stage, ...bytes } = status.failover;
    return { words: `Failover: ${stage}${amount(bytes)}`, ...bytes };
  }
  const seed = status.role === 'primary' ? status.seed : status.peer.status?.seed;
  if (seed) {
    const { doneBytes, totalBytes, bytesPerSec, secondsLeft } = seed;
    const left = secondsLeft === null ? '' : `, ${formatAge(1000 * secondsLeft)} left`;
    const rate = `, ${formatBytes(bytesPerSec)}/s${left}`;
    return { words: `First copy${amount(seed)}${rate}`, doneBytes, totalBytes };
  }
  if (status.role !== 'primary' || status.stage === '') return undefined;
  return { words: `Setting up protection: ${status.stage}` };
}

function amount({ doneBytes, totalBytes }: Omit<WorkProgress, 'words'>): string {
  if (doneBytes === undefined || totalBytes === undefined) return '';
  return `: ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
}
