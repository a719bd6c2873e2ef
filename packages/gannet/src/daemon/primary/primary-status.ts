/** What a primary reports: pure functions of what is known. */
import { hostname } from 'node:os';
import {
  type About,
  type PeerStatus,
  type PrimaryConfig,
  type PrimaryStatus,
  type SeedsView,
  STATUS_SCHEMA,
  type TermRecord,
  QEMU_TEXTS,
} from '@gannet/contract';
import { inspectPrimary, type SideReport } from '../../inspect/side-report.js';
import type { History } from '../history.js';
import type { PeerLink } from '../peer/peer-link.js';
import type { VmWatch } from '../vm/vm-watch.js';
import type { PrimaryCheckpoints } from './primary-checkpoints.js';
import type { PrimaryRoleState } from './primary-state.js';

export interface PrimarySides {
  readonly about: About;
  readonly vm: VmWatch;
  readonly link: PeerLink;
  readonly record: TermRecord;
  /** Why the term file can't be written. */
  readonly termTrouble: string | null;
  /** Why the guest stands still on its own disk. */
  readonly standstill: string | undefined;
  /** The guest is known to stand still, for the sake of the other side. */
  readonly isStill: boolean;
  readonly checkpoints: PrimaryCheckpoints;
  readonly seed: SeedsView | undefined;
  /** Id of what is under way. */
  readonly operation: string | undefined;
}

/** What `gannet check` compares of this side. */
export function inspectOwn(
  config: PrimaryConfig,
  state: PrimaryStatus['state'],
  vm: VmWatch,
): Promise<SideReport> {
  const qmp = vm.state === 'ready' ? vm.qmp : undefined;
  return inspectPrimary(config, {
    state,
    hostname: hostname(),
    qmp,
    trouble: `QEMU ${QEMU_TEXTS[vm.state]}`,
  });
}

/** As commands and the status show it. */
export function shownState({ phase }: PrimaryRoleState, vm: VmWatch): PrimaryStatus['state'] {
  if (phase === 'letting-go') return 'protected';
  if (phase !== 'unattached') return phase;
  // Nobody at the QMP socket protects nothing; a QEMU that can't be asked may be in COLO.
  return vm.trouble === undefined ? 'unprotected' : 'unknown';
}

/** That it yields is a word: it is given once the guest is known to stand still. */
function saidState(state: PrimaryRoleState, vm: VmWatch): PrimaryStatus['state'] {
  return state.phase === 'yielding' && !state.isStopped ? 'protected' : shownState(state, vm);
}

function reasonOf(state: PrimaryRoleState): string | undefined {
  return state.phase === 'yielding' || state.phase === 'ended' ? state.reason : undefined;
}

/** What is new of what the secondary says. */
export function notePeer(
  history: Pick<History, 'add'>,
  status: PeerStatus,
  before: PeerStatus | undefined,
): void {
  const { vm, state, link } = status;
  if (vm !== before?.vm || state !== before.state || link !== before.link) {
    history.add('peer', { vm, state, link });
  }
  if (status.isLeaving === true && before?.isLeaving !== true) {
    history.add('peer', { isLeaving: true });
  }
}

export function primaryStatus(
  config: PrimaryConfig,
  state: PrimaryRoleState,
  { about, vm, link, record, termTrouble, standstill, seed, checkpoints }: PrimarySides,
): Omit<PrimaryStatus, 'health' | 'network' | 'strangers'> {
  return {
    schema: STATUS_SCHEMA,
    role: 'primary',
    vm: config.vm,
    host: hostname(),
    heartbeatMs: config.peer.heartbeatMs,
    about,
    record,
    termTrouble,
    state: shownState(state, vm),
    stage: state.phase === 'protecting' ? state.stage : '',
    ...(reasonOf(state) === undefined ? {} : { reason: reasonOf(state) }),
    ...(standstill === undefined ? {} : { standstill }),
    ...(seed ? { seed } : {}),
    primaryVm: vm.state,
    primaryVmTrouble: vm.trouble ?? null,
    linkKind: config.primary.link,
    link: config.primary.link,
    checkpointPeriodMs: config.primary.checkpointPeriodMs,
    epoch: link.peer?.status.epoch ?? 0,
    lastCheckpoint: checkpoints.last ?? null,
    peer: { pulse: link.state, ...link.peer },
  };
}

export function primaryPeerStatus(
  config: PrimaryConfig,
  state: PrimaryRoleState,
  { about, vm, link, record, standstill, isStill, seed, checkpoints, operation }: PrimarySides,
): PeerStatus {
  const isUnknown = state.phase === 'unattached';
  // Whether a QEMU hangs for good shows when its links have been cut.
  const isBeingFreed = vm.state === 'hung' && state.phase === 'letting-go';
  return {
    host: hostname(),
    about,
    checkpoint: checkpoints.last,
    seed,
    role: 'primary',
    state: isUnknown ? 'unknown' : saidState(state, vm),
    ...(reasonOf(state) === undefined ? {} : { trouble: reasonOf(state) }),
    ...(standstill === undefined ? {} : { standstill }),
    ...(isStill ? { isStill } : {}),
    epoch: link.peer?.status.epoch ?? 0,
    vm: isBeingFreed ? 'ready' : vm.state,
    record,
    operation,
    periodMs: config.primary.checkpointPeriodMs,
  };
}
