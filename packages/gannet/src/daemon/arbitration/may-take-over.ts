/** Who may take over, and when: pure functions of what is known of the pair. */
import {
  type EvidenceKind,
  FAILOVER_EVIDENCE,
  type FailoverEvidence,
  GannetError,
  hasTakenOver,
  type PeerPulse,
  type PeerStatus,
  type SecondaryState,
  type TermRecord,
} from '@gannet/contract';
import { isOneVm } from './records.js';

/** Why the primary is known to be dead. Silence is no kind. `done`: QEMU has taken over already. */
export interface Evidence {
  readonly kind: EvidenceKind | 'done';
  /** For people. */
  readonly words: FailoverEvidence;
}

/** The remedy for a replica that has diverged. */
export function seedAgain(vm: string): string {
  return (
    'Restart this daemon, then its QEMU with -incoming, or -S for vsmr. ' +
    `Then run \`gannet protect ${vm}\` on the primary host.`
  );
}

/** All that a secondary knows of the pair, at one moment. */
export interface PairView {
  readonly vm: string;
  readonly own: TermRecord;
  readonly replica: {
    readonly state: SecondaryState;
    readonly reason: string;
    /** Why writes of the primary may be missing since the last commit. */
    readonly loss: string | undefined;
  };
  /** Why it is not known whether the last checkpoint was committed. */
  readonly doubt: string | undefined;
  /** The VM that would take over; undefined where checkpoints come by call and there is none. */
  readonly ownVm: PeerStatus['vm'] | undefined;
  /** Why COLO has ended, once it has. */
  readonly coloExit: string | undefined;
  readonly peer: {
    /** `none`: checkpoints come by call, and there is no primary daemon. */
    readonly liveness: PeerPulse;
    /** What the primary's daemon said last. */
    readonly status: PeerStatus | undefined;
    readonly silentMs: number;
  };
  /** Since the last commit, which is a sign of life of the primary; Infinity before the first. */
  readonly commitAgeMs: number;
}

export interface FailoverPolicy {
  readonly isAutomatic: boolean;
  readonly hasFence: boolean;
  /** See `fence.evidence` of the configuration; `fence` without it. */
  readonly evidence?: 'fence' | 'arbiter' | undefined;
  /** See `fence.delayMs` of the configuration. */
  readonly fenceDelayMs: number;
  /** See `peer.highMs` of the configuration. */
  readonly highMs: number;
  /** The longest time from one checkpoint to the next. */
  readonly periodMs: number;
}

/** Times `highMs`: the primary has acted by then, if it still runs. */
const PATIENCE = 2;

/**
 * Why this side must not take over, whatever is known of the primary. `--force` does not change it.
 * Nobody who is unfit may fence: nothing would run afterwards.
 */
export function unfitness(view: PairView): GannetError | undefined {
  const { vm, own, replica, doubt, ownVm } = view;
  if (replica.state !== 'protected') {
    return refusal(
      `${vm} can't fail over: the replica is ${replica.state} (${replica.reason})`,
      replica.state === 'diverged' ? seedAgain(vm) : 'Wait until it is protected.',
    );
  }
  if (own.word !== 'protected' && own.word !== 'taken-over') {
    const words = `its copy is not in step with the primary's: term ${own.term}, ${own.word}`;
    return refusal(`${vm} can't fail over: ${words}`, 'It can once it is protected.');
  }
  if (doubt !== undefined) {
    return refusal(
      `${vm} can't fail over: it is not known whether the last checkpoint counts (${doubt})`,
      'Wait for the next checkpoint. If the primary is dead, start the VM on its own host.',
    );
  }
  if (ownVm === undefined || ownVm === 'ready') return undefined;
  const what = ownVm === 'lost' ? 'has ended' : `is ${ownVm}`;
  const remedy =
    ownVm === 'hung'
      ? 'Check what the QEMU process waits for, then try again.'
      : 'Start the secondary again: its daemon first, then its QEMU with -incoming, ' +
        'or -S for vsmr.';
  return refusal(`${vm} can't fail over: the secondary VM ${what}`, remedy);
}

/** The guest has taken over here, and its QEMU has ended since: no failover brings it back. */
export function endedSurvivor({ vm, replica, ownVm }: PairView): GannetError | undefined {
  if (!hasTakenOver(replica.state) || ownVm !== 'lost') return undefined;
  const start = 'start the VM from the local disks of this host';
  return refusal(
    `${vm} has taken over on this host, and its QEMU has ended since`,
    replica.state === 'retired'
      ? `Nothing is left to do for a failover: ${start}, they are complete.`
      : `Stop this daemon, run \`gannet recover ${vm}\`, then ${start}.`,
  );
}

/** What proves already that the primary's guest does not run, nor has run without this replica. */
export function evidenceIn(view: PairView): Evidence | undefined {
  const { liveness, status } = view.peer;
  if (hasTakenOver(view.replica.state)) return { kind: 'done', words: FAILOVER_EVIDENCE.done };
  if (liveness !== 'up' || status === undefined) return undefined;
  if (hasClaimed(view)) return { kind: 'word', words: FAILOVER_EVIDENCE.claimed };
  if (!isConfirmed(view)) return undefined;
  if (status.state === 'yielding') {
    const { moved, yielding } = FAILOVER_EVIDENCE;
    return { kind: 'word', words: isHandedOver(view) ? moved : yielding };
  }
  if (status.vm !== 'lost' || status.state !== 'protected') return undefined;
  return { kind: 'word', words: FAILOVER_EVIDENCE.word };
}

/** An operator moves the VM here: nobody has to ask this side for it, whatever its policy is. */
export function isHandedOver({ own, peer: { status } }: PairView): boolean {
  const isOurs = own.word === 'protected' || (own.word === 'taken-over' && !own.isForced);
  return isOurs && status?.role === 'primary' && status.record.movedTo !== undefined;
}

/**
 * The primary has said last that both copies are in step, in the term of this one; or in the one
 * before, if this side has claimed the VM since, and the takeover has failed after that.
 */
function isConfirmed({ own, peer: { status } }: PairView): boolean {
  const said = status?.record;
  const term = own.word === 'taken-over' && !own.isForced ? own.term - 1 : own.term;
  return said?.word === 'protected' && said.term === term && said.lineage === own.lineage;
}

/**
 * This side has claimed the VM with proof, and its takeover has failed since. The primary gives way
 * to the claim, and its guest stands still: nobody else makes the VM run.
 */
function hasClaimed({ own, peer: { status } }: PairView): boolean {
  if (own.word !== 'taken-over' || own.isForced) return false;
  // One whose QEMU nobody is connected to may run.
  if (status?.role !== 'primary' || (status.vm !== 'lost' && status.isStill !== true)) return false;
  const { word, term, lineage } = status.record;
  return word === 'outdated' && term === own.term && lineage === own.lineage;
}

/**
 * Whether a fence would prove that this copy may take over. It proves that the primary is dead.
 * That the primary had not gone on alone before follows only if it has promised to have this side
 * fenced first. Without that promise, whatever it wrote alone would be lost.
 */
export function isFenceProof(view: PairView): boolean {
  const { liveness, status } = view.peer;
  return liveness === 'none' || (status?.record.mustProve === true && isConfirmed(view));
}

/** Whether an operator who asks for a failover may have the primary fenced for it. */
export function mayFence(view: PairView, { hasFence }: FailoverPolicy): boolean {
  const { replica, coloExit, peer } = view;
  const looksGone = replica.loss !== undefined || coloExit !== undefined;
  return hasFence && isFenceProof(view) && (looksGone || peer.liveness === 'lost');
}

/** States of a primary whose guest does not run. */
const STANDING_STILL: ReadonlySet<string> = new Set(['superseded', 'held', 'yielding', 'ended']);

/** Why a forced takeover needs a second word: it would stop the guest of a primary that is well. */
export function wellPeer({ vm, own, peer }: PairView): GannetError | undefined {
  const { liveness, status, silentMs } = peer;
  if (liveness !== 'up' || status?.vm !== 'ready') return undefined;
  if (STANDING_STILL.has(status.state)) return undefined;
  const { record, state, host = 'its host' } = status;
  return refusal(
    `the primary of ${vm} is well: its daemon on ${host} was heard ${silentMs} ms ago, its QEMU ` +
      `responds, it is ${state} (term ${record.term}, ${record.word}). This side is in term ` +
      `${own.term}, ${own.word}`,
    `To move the VM, ${howToMove(vm, status)}. If this side is to take over all the same, add ` +
      '--overrule-peer: the guest on the primary host is then stopped, and what it did since the ' +
      'last checkpoint is lost.',
  );
}

function howToMove(vm: string, { about }: PeerStatus): string {
  if (about?.engine !== 'vsmr') return 'detach it and move it as usual';
  return `run \`gannet move ${vm}\` on the primary host`;
}

export function notProven(view: PairView): GannetError {
  const { vm, peer } = view;
  if (peer.liveness === 'lost' && !isFenceProof(view)) {
    return refusal(
      `nothing proves that the primary of ${vm} is dead, and has not continued alone before: it ` +
        'has no fence that would have stopped this side first, so the copy here may be old',
      'If the disk of the primary host is there, start the VM on it. Only if it is not, or the ' +
        'primary has done nothing since: make sure that its QEMU has ended, then say --force.',
    );
  }
  return refusal(
    `nothing proves that the primary of ${vm} is dead`,
    'Two running copies destroy each other: make sure that its QEMU has ended, then add --force.',
  );
}

export type AutomaticStep =
  | { readonly kind: 'none' }
  /** Look again after this time. */
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'fail-over' };

const NONE: AutomaticStep = { kind: 'none' };
const FAIL_OVER: AutomaticStep = { kind: 'fail-over' };

/**
 * What this side does now by itself: it takes a VM that is moved here, and what the policy
 * `failover: automatic` says. That the primary's daemon calls its QEMU `hung`
 * counts at once, and so does its end; the first needs a fence all the same.
 *
 * Silence counts when it has lasted twice as long as a primary takes to let its secondary go: one
 * that lives on behind a cut network has had its secondary fenced by then. If both acted at the
 * same time, each would kill the other. A commit is a sign of life too, and may be a whole period
 * old.
 */
export function automaticStep(view: PairView, policy: FailoverPolicy): AutomaticStep {
  if (unfitnessOf(view) !== undefined) return NONE;
  if (evidenceIn(view) && (policy.isAutomatic || isHandedOver(view))) return FAIL_OVER;
  if (!policy.isAutomatic || !policy.hasFence || !isFenceProof(view)) return NONE;
  const { liveness, status, silentMs } = view.peer;
  if (status?.vm === 'lost' || status?.vm === 'hung') return FAIL_OVER;
  if (liveness !== 'lost') return NONE;
  const patienceMs = PATIENCE * policy.highMs;
  const ms = Math.max(patienceMs - silentMs, policy.periodMs + patienceMs - view.commitAgeMs);
  return ms > 0 ? { kind: 'wait', ms } : FAIL_OVER;
}

/**
 * A VM that hangs may hang on its links to the primary: it is freed and asked before it is judged.
 */
function unfitnessOf(view: PairView): GannetError | undefined {
  return unfitness(view.ownVm === 'hung' ? { ...view, ownVm: 'ready' } : view);
}

/**
 * For a secondary whose replica is complete and whose record says nothing yet: the term in which
 * both copies are in step.
 *
 * @returns the record of the primary that has opened it; `own` where checkpoints come by call
 */
export function mayJoin(
  view: Pick<PairView, 'own' | 'replica' | 'peer'>,
): TermRecord | 'own' | undefined {
  const { own, replica, peer } = view;
  const { liveness, status } = peer;
  if (replica.state !== 'protected' || own.word !== 'none') return undefined;
  if (liveness === 'none') return 'own';
  if (liveness !== 'up' || status?.state !== 'protecting') return undefined;
  const { record } = status;
  const isOpening = record.word === 'alone' && record.term > own.term;
  return isOpening && isOneVm(own, record) ? record : undefined;
}

function refusal(message: string, remedy: string): GannetError {
  return new GannetError('GANNET_REFUSED', message, remedy, 'refused');
}
