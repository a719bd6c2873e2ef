import type { PrimaryStatus, SecondaryStatus, Status } from '../status.js';
import type { PairFacts, KnownPrimary, KnownSecondary, KnownSide } from './pair-facts.js';
import { verdictOfFacts, type Verdict } from './verdict.js';

/** A daemon's status before it is judged. */
export type Unjudged<S extends Status = Status> = S extends Status ? Omit<S, 'health'> : never;

/** Judges a VM by what one of its daemons knows about both sides. */
export function verdictOf(status: Unjudged): Verdict {
  return verdictOfFacts(pairFacts(status));
}

/** Both sides from the status of either daemon. */
export function pairFacts(status: Unjudged): PairFacts {
  const { vm, peer, role } = status;
  const isPrimary = role === 'primary';
  const primary = isPrimary ? ownPrimary(status) : peerPrimary(status);
  const secondary = isPrimary ? peerSecondary(status) : ownSecondary(status);
  const { termTrouble, automatic } = status;
  const engine = status.about?.engine;
  const known = { primary, secondary, pulse: peer.pulse, automatic, engine };
  return { vm, here: role, ...known, termTrouble: termTrouble ?? '' };
}

function ownPrimary(status: Unjudged<PrimaryStatus>): KnownPrimary {
  const { host, primaryVm: qemu, primaryVmTrouble, reason, state, stage, standstill = '' } = status;
  const trouble = primaryVmTrouble ?? reason ?? '';
  const { isDetached, movedTo = '' } = status.record;
  const own = { host, qemu, trouble, state, stage, standstill, movedTo, isDetached };
  return { knowledge: 'here', ageMs: 0, ...own };
}

function ownSecondary(status: Unjudged<SecondaryStatus>): KnownSecondary {
  const { host, secondaryVm, secondaryVmTrouble, state, reason, mayFailOver, record } = status;
  const mustProve = status.peer.status?.record.mustProve;
  return {
    knowledge: 'here',
    ageMs: 0,
    host,
    qemu: secondaryVm,
    trouble: secondaryVmTrouble ?? '',
    state,
    isOutdated: record.word === 'outdated',
    reason,
    link: status.linkState,
    linkLoss: status.linkLoss ?? '',
    baseTrouble: status.baseTrouble ?? '',
    mayFailOver,
    fenceFailure: status.fenceFailure,
    canFence: status.about?.hasFence === true && mustProve === true,
    waiting: status.waiting ?? undefined,
    commitAgeMs: status.commitAgeMs,
  };
}

function peerPrimary({ peer }: Unjudged<SecondaryStatus>): KnownPrimary {
  const { status } = peer;
  const state = status?.role === 'primary' && status.state !== 'none' ? status.state : 'unknown';
  const standstill = status?.standstill ?? '';
  const { movedTo = '', isDetached } = status?.record ?? {};
  return { ...peerSide(peer), state, stage: '', standstill, movedTo, isDetached };
}

function peerSecondary({ peer }: Unjudged<PrimaryStatus>): KnownSecondary {
  const { status } = peer;
  const said = status?.role === 'secondary' ? status : undefined;
  const state = said && said.state !== 'none' ? said.state : 'unknown';
  return {
    ...peerSide(peer),
    state,
    isOutdated: said?.record.word === 'outdated',
    reason: '',
    link: said?.link ?? 'none',
    linkLoss: '',
    // What it reports besides is trouble of its QEMU.
    baseTrouble: said?.vm === 'ready' ? (said.trouble ?? '') : '',
    mayFailOver: said?.mayFailOver ?? false,
    commitAgeMs: said?.commitAgeMs,
  };
}

function peerSide({ pulse, silentMs = 0, status }: Status['peer']): KnownSide {
  const isFresh = pulse === 'up' || pulse === 'late';
  return {
    knowledge: !status ? 'never' : isFresh ? 'fresh' : 'stale',
    ageMs: silentMs,
    host: status?.host ?? '',
    qemu: status?.vm ?? 'unknown',
    trouble: status?.trouble ?? '',
  };
}
