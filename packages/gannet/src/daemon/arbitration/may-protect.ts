/** Whether a VM whose protection is automatic is protected now, and if not yet, why. Pure. */
import type { PrimaryState, SecondaryState, WaitReason } from '@gannet/contract';

/** Of the secondary that a new copy would go to: not heard, heard, or as good as new. */
export type Readiness = 'silent' | 'unready' | 'ready';

/** What has been tried, by the clock of this process. */
export interface Attempts {
  /** When each began, oldest first. */
  readonly begunMs: readonly number[];
  /** Those that failed since the last that did not. */
  readonly failures: number;
  /** When the last of these ended. */
  readonly failedMs: number;
}

export const NO_ATTEMPTS: Attempts = { begunMs: [], failures: 0, failedMs: 0 };

export interface ProtectionView {
  readonly state: PrimaryState | SecondaryState;
  /** Whether the QEMU of this side can be asked. */
  readonly hasVm: boolean;
  /** An operator has ended the protection on purpose. */
  readonly isDetached: boolean;
  /** A command is under way, or the daemon does something by itself. */
  readonly isBusy: boolean;
  /** Whether the configuration leads to a secondary that is another host's. */
  readonly hasWay: boolean;
  readonly secondary: Readiness;
  readonly attempts: Attempts;
  readonly nowMs: number;
}

export type ProtectionStep =
  /** Protected, about to be, or the other side's business. */
  | { readonly kind: 'none' }
  | { readonly kind: 'begin'; readonly how: 'protect' | 'reprotect' }
  /** `untilMs`: of a pause, by the same clock as `nowMs`. */
  | { readonly kind: 'wait'; readonly why: WaitReason; readonly untilMs?: number };

/** How long after the first, second, … failure in a row; the last one is for all that follow. */
export const PAUSES_MS = [10_000, 30_000, 90_000, 300_000, 900_000] as const;
/** Each copy costs both hosts: no more of them than these in any hour. */
export const ATTEMPTS_PER_HOUR = 6;
const HOUR_MS = 3_600_000;

/** Rows: the state. What it comes to if nothing else is in the way. */
export const BY_STATE: Readonly<
  Record<PrimaryState | SecondaryState, 'protect' | 'reprotect' | 'none' | WaitReason>
> = {
  unknown: 'in-doubt',
  unprotected: 'protect',
  protecting: 'none',
  protected: 'none',
  alone: 'protect',
  held: 'in-doubt',
  yielding: 'no-guest',
  ended: 'no-guest',
  superseded: 'outdated',
  // Of a secondary: only one that has taken over has a VM to protect.
  seeding: 'none',
  'failed-over': 'moving',
  retired: 'reprotect',
  diverged: 'none',
};

const READY: Readonly<Record<Readiness, WaitReason | undefined>> = {
  silent: 'no-secondary',
  unready: 'secondary-unready',
  ready: undefined,
};

export function protectionStep(view: ProtectionView): ProtectionStep {
  const how = BY_STATE[view.state];
  if (how === 'none') return { kind: 'none' };
  if (how !== 'protect' && how !== 'reprotect') return { kind: 'wait', why: how };
  const why = obstacleOf(view);
  if (why !== undefined) return { kind: 'wait', why };
  return pauseOf(view) ?? { kind: 'begin', how };
}

function obstacleOf(view: ProtectionView): WaitReason | undefined {
  if (!view.hasVm) return 'no-guest';
  if (view.isDetached) return 'detached';
  if (view.isBusy) return 'busy';
  return view.hasWay ? READY[view.secondary] : 'no-way';
}

function pauseOf({ attempts, nowMs }: ProtectionView): ProtectionStep | undefined {
  const { failures, failedMs, begunMs } = attempts;
  const untilMs = failedMs + pauseAfter(failures);
  if (nowMs < untilMs) return { kind: 'wait', why: 'failed', untilMs };
  const oldestMs = begunMs.at(-ATTEMPTS_PER_HOUR);
  if (oldestMs === undefined || nowMs >= oldestMs + HOUR_MS) return undefined;
  return { kind: 'wait', why: 'too-often', untilMs: oldestMs + HOUR_MS };
}

function pauseAfter(failures: number): number {
  return failures === 0 ? 0 : (PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1] ?? 0);
}

/** @returns what has been tried when one more begins */
export function begun({ begunMs, ...rest }: Attempts, nowMs: number): Attempts {
  return { ...rest, begunMs: [...begunMs, nowMs].slice(-ATTEMPTS_PER_HOUR) };
}

/** @returns what has been tried when one has ended */
export function ended(attempts: Attempts, hasFailed: boolean, nowMs: number): Attempts {
  const { begunMs, failures } = attempts;
  return hasFailed
    ? { begunMs, failures: failures + 1, failedMs: nowMs }
    : { ...NO_ATTEMPTS, begunMs };
}
