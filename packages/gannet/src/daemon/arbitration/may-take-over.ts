/** Who may take over, and when: pure functions of what is known of the pair. */
import { FAILOVER_EVIDENCE, GannetError, hasTakenOver, type PeerStatus } from '@gannet/contract';
import type { LivenessState } from '../peer/peer-liveness.js';
import type { Evidence } from './failover-state.js';

/** All that a secondary knows of the pair, at one moment. */
export interface PairView {
  readonly vm: string;
  readonly replica: {
    readonly state: 'seeding' | 'protected' | 'failed-over' | 'retired' | 'diverged';
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
    readonly liveness: LivenessState | 'none';
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
  const { vm, replica, doubt, ownVm } = view;
  if (replica.state !== 'protected') {
    return refusal(
      `${vm} can't fail over: the replica is ${replica.state} (${replica.reason})`,
      replica.state === 'diverged' ? 'Seed it again.' : 'It can once it is protected.',
    );
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
      ? 'See what its process waits for, then try again.'
      : 'Start the secondary again: its daemon first, then its QEMU with -incoming.';
  return refusal(`${vm} can't fail over: the secondary VM ${what}`, remedy);
}

/** What proves already that the primary is dead. */
export function evidenceIn({ replica, peer }: PairView): Evidence | undefined {
  if (hasTakenOver(replica.state)) return { kind: 'done', words: FAILOVER_EVIDENCE.done };
  const { liveness, status } = peer;
  if (liveness !== 'up' || status?.vm !== 'lost' || status.state !== 'protected') return undefined;
  return { kind: 'word', words: FAILOVER_EVIDENCE.word };
}

/** Whether an operator who asks for a failover may have the primary fenced for it. */
export function mayFence(view: PairView, { hasFence }: FailoverPolicy): boolean {
  const { replica, coloExit, peer } = view;
  const looksGone = replica.loss !== undefined || coloExit !== undefined;
  return hasFence && (looksGone || peer.liveness === 'lost');
}

export function notProven(vm: string): GannetError {
  return refusal(
    `nothing proves that the primary of ${vm} is dead`,
    'Two running copies destroy each other: make sure that its QEMU has ended, then say --force.',
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
 * What the policy `failover: automatic` does now. That the primary's daemon calls its QEMU `hung`
 * counts at once, and so does its end; the first needs a fence all the same.
 *
 * Silence counts when it has lasted twice as long as a primary takes to let its secondary go: one
 * that lives on behind a cut network has had its secondary fenced by then. If both acted at the
 * same time, each would kill the other. A commit is a sign of life too, and may be a whole period
 * old.
 */
export function automaticStep(view: PairView, policy: FailoverPolicy): AutomaticStep {
  if (!policy.isAutomatic || unfitnessOf(view) !== undefined) return NONE;
  if (evidenceIn(view)) return FAIL_OVER;
  if (!policy.hasFence) return NONE;
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

function refusal(message: string, remedy: string): GannetError {
  return new GannetError('GANNET_REFUSED', message, remedy, 'refused');
}
