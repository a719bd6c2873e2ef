/** What a secondary reports, and what its failover decides on: pure functions of what is known. */
import { hostname } from 'node:os';
import type { Replica } from '@gannet/replicator';
import {
  type About,
  type FailoverProgress,
  type PeerStatus,
  type SecondaryConfig,
  type SecondaryStatus,
  STATUS_SCHEMA,
  type TermRecord,
  QEMU_TEXTS,
  type SecondaryState,
  type QemuState,
} from '@gannet/contract';
import type { PeerLink } from '../peer/peer-link.js';
import type { VmWatch } from '../vm/vm-watch.js';
import {
  type FailoverPolicy,
  type PairView,
  seedAgain,
  unfitness,
} from '../arbitration/may-take-over.js';
import type { RequestTally } from './request-tally.js';
import type { SecondaryFacts } from './secondary-facts.js';

export interface SecondarySides {
  readonly about: About;
  /** Of a failover that is under way. */
  readonly failover: FailoverProgress | undefined;
  /** What was taken over outlives a crash of this host. */
  readonly isDurable: boolean;
  /** Why the last fence failed. */
  readonly fenceFailure: string | undefined;
  readonly record: TermRecord;
  /** Why the term file can't be written. */
  readonly termTrouble: string | null;
  readonly replica: Replica;
  readonly vm: VmWatch;
  readonly link: PeerLink | undefined;
  /** Id of what is under way. */
  readonly operation: string | undefined;
}

export function pairView(
  { vm, secondary }: SecondaryConfig,
  facts: SecondaryFacts,
  sides: SecondarySides,
): PairView {
  const { state, reason, link } = sides.replica;
  const { status, silentMs = 0 } = sides.link?.peer ?? {};
  return {
    vm,
    own: sides.record,
    replica: { state, reason, loss: link.loss },
    doubt: facts.doubt,
    ownVm: secondary.source === 'external' ? undefined : facts.vmState(sides.vm),
    coloExit: facts.coloExit,
    peer: { liveness: sides.link?.state ?? 'none', status, silentMs },
    commitAgeMs: facts.commitAgeMs ?? Infinity,
  };
}

/**
 * The period is the primary's own, as it said last; it may have changed since this was configured.
 */
export function failoverPolicy(
  { secondary, primary, fence, peer }: SecondaryConfig,
  link: PeerLink | undefined,
): FailoverPolicy {
  return {
    isAutomatic: secondary.failover === 'automatic',
    hasFence: fence !== undefined,
    evidence: fence?.evidence,
    fenceDelayMs: fence?.delayMs ?? 0,
    highMs: peer.highMs,
    periodMs: link?.peer?.status.periodMs ?? primary?.checkpointPeriodMs ?? 0,
  };
}

export function secondaryPeerStatus(
  config: SecondaryConfig,
  facts: SecondaryFacts,
  sides: SecondarySides,
): PeerStatus {
  const { state, epoch, bufferBytes, memory, spilledBytes, uuid } = sides.replica;
  const trouble = facts.vmTrouble(sides.vm) ?? facts.flushTrouble ?? facts.baseTrouble;
  return {
    host: hostname(),
    about: sides.about,
    commit: facts.lastCommit,
    mayFailOver: unfitness(pairView(config, facts, sides)) === undefined,
    commitAgeMs: facts.commitAgeMs,
    buffers: { ...bufferBytes, ...memory, spilled: spilledBytes },
    role: 'secondary',
    state,
    epoch,
    vm: facts.vmState(sides.vm),
    record: sides.record,
    operation: sides.operation,
    ...(trouble === undefined ? {} : { trouble }),
    link: linkState(sides.replica),
    replica: uuid,
    basis: sides.replica.basis.recorded,
    memoryPressure: facts.hasMemoryPressure,
    isLeaving: facts.isLeaving,
  };
}

type OtherStatus = 'health' | 'disks' | 'network' | 'strangers';

/** All of the status that the replica, the QEMU and the peer link tell. */
export function secondaryStatus(
  config: SecondaryConfig,
  facts: SecondaryFacts,
  sides: SecondarySides,
): Omit<SecondaryStatus, OtherStatus> {
  const { about, failover, fenceFailure, isDurable, replica, vm, link, record } = sides;
  const isHeard = link?.state === 'up';
  return {
    schema: STATUS_SCHEMA,
    role: 'secondary',
    vm: config.vm,
    host: hostname(),
    heartbeatMs: config.peer.heartbeatMs,
    about,
    record,
    termTrouble: sides.termTrouble,
    state: replica.state,
    reason: replica.reason,
    mayFailOver: unfitness(pairView(config, facts, sides)) === undefined,
    ...(facts.commitAgeMs === undefined ? {} : { commitAgeMs: facts.commitAgeMs }),
    ...(fenceFailure === undefined || isHeard ? {} : { fenceFailure }),
    epoch: replica.epoch,
    secondaryVm: facts.vmState(vm),
    secondaryVmTrouble: facts.vmTrouble(vm) ?? null,
    ...(replica.state === 'diverged' ? { needs: seedAgain(config.vm) } : {}),
    linkState: linkState(replica),
    linkLoss: replica.link.loss ?? null,
    link: replica.link.loss ?? (replica.link.isConnected ? 'connected' : 'none'),
    coloExit: facts.coloExit ?? null,
    baseTrouble: facts.flushTrouble ?? facts.baseTrouble ?? null,
    ...(failover === undefined ? {} : { failover }),
    ...(isDurable ? { isDurable } : {}),
    checkpoints: facts.commits,
    lastCheckpoint: facts.lastCommit ?? null,
    buffers: {
      ...replica.bufferBytes,
      ...replica.memory,
      slowedWrites: replica.slowedWrites,
      spilled: replica.spilledBytes,
      spillTrouble: facts.spillTrouble ?? null,
    },
    exports: replica.exports.map(({ name }) => name),
    snapshot: replica.snapshots.view ?? null,
    peer: { pulse: link?.state ?? 'none', ...link?.peer },
    uuid: replica.uuid,
  };
}

function linkState({ link }: Replica): SecondaryStatus['linkState'] {
  if (link.loss !== undefined) return 'lost';
  return link.isConnected ? 'whole' : 'none';
}

export function diskStatus(replica: Replica, tally: RequestTally): SecondaryStatus['disks'] {
  return replica.disks.map(({ name, sizeBytes, committed, committedBytes }) => ({
    name,
    sizeBytes,
    epochsToWriteBack: committed.length,
    backlogBytes: committedBytes,
    ...tally.of(name),
  }));
}

/** Why the QEMU of this side is not asked for a report of itself. */
export function whyNotAsked(replica: SecondaryState, qemu: QemuState): string {
  return replica === 'protected' ? 'it is protected' : `QEMU ${QEMU_TEXTS[qemu]}`;
}
