import type { FailoverReport } from '@gannet/contract';
import type { Evidence } from '../arbitration/may-take-over.js';

/** What a failover does, in this order. Each step is harmless when it is repeated. */
export const FAILOVER_STEPS = ['taking-over', 'journaling', 'moving', 'opening-network'] as const;
export type FailoverStep = (typeof FAILOVER_STEPS)[number];

export type FailoverState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'proving' }
  | { readonly phase: FailoverStep; readonly evidence: Evidence }
  | { readonly phase: 'failed'; readonly at: FailoverStep; readonly evidence: Evidence }
  | { readonly phase: 'done'; readonly report: FailoverReport };

export type FailoverEvent =
  /** Somebody, or the policy, asks for a failover. */
  | { readonly kind: 'asked' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'proven'; readonly evidence: Evidence }
  | { readonly kind: 'step-done'; readonly report: FailoverReport }
  | { readonly kind: 'step-failed' };

type Phase = FailoverState['phase'];
/**
 * `same`: nothing to do; `repeat`: the step that failed; `next`: the one after this; `illegal`: a
 * bug.
 */
type Cell = 'same' | 'repeat' | 'next' | 'proving' | 'idle' | 'taking-over' | 'failed' | 'illegal';

/**
 * ```
 * idle ─asked─► proving ─proven─► taking-over ─► journaling ─► moving ─► opening-network ─► done
 *   ▲              │                    └────────────┴───────────┴─────────────┘
 *   └───refused────┘                                      │ step-failed
 *                  ▲                                      ▼
 *                  └──── asked, taking-over failed ──── failed ── asked ─► the step that failed
 * ```
 * A takeover that failed needs proof again: time has passed. Whatever comes after it does not: the
 * guest runs here.
 */
export const FAILOVER_TABLE: Record<Phase, Record<FailoverEvent['kind'], Cell>> = {
  idle: row('proving', 'illegal', 'illegal', 'illegal', 'illegal'),
  proving: row('same', 'idle', 'taking-over', 'illegal', 'illegal'),
  'taking-over': row('same', 'illegal', 'illegal', 'next', 'failed'),
  journaling: row('same', 'illegal', 'illegal', 'next', 'failed'),
  moving: row('same', 'illegal', 'illegal', 'next', 'failed'),
  'opening-network': row('same', 'illegal', 'illegal', 'next', 'failed'),
  failed: row('repeat', 'illegal', 'illegal', 'illegal', 'illegal'),
  done: row('same', 'illegal', 'illegal', 'illegal', 'illegal'),
};

function row(
  asked: Cell,
  refused: Cell,
  proven: Cell,
  done: Cell,
  failed: Cell,
): Record<FailoverEvent['kind'], Cell> {
  return { asked, refused, proven, 'step-done': done, 'step-failed': failed };
}

export function isStep(phase: Phase): phase is FailoverStep {
  return (FAILOVER_STEPS as readonly string[]).includes(phase);
}

/** @throws Error for what can't happen in this state: a bug */
export function nextFailoverState(state: FailoverState, event: FailoverEvent): FailoverState {
  const cell = FAILOVER_TABLE[state.phase][event.kind];
  switch (cell) {
    case 'same':
      return state;
    case 'idle':
    case 'proving':
      return { phase: cell };
    case 'taking-over':
      if (event.kind === 'proven') return { phase: cell, evidence: event.evidence };
      break;
    case 'repeat':
      if (state.phase === 'failed') return repeated(state);
      break;
    case 'failed':
      if (isRunning(state)) return { phase: cell, at: state.phase, evidence: state.evidence };
      break;
    case 'next':
      if (isRunning(state) && event.kind === 'step-done') return following(state, event.report);
      break;
    case 'illegal':
  }
  throw new Error(`a failover that is ${state.phase} cannot have ${event.kind}`);
}

type Running = FailoverState & { readonly phase: FailoverStep };

function isRunning(state: FailoverState): state is Running {
  return isStep(state.phase);
}

function repeated({ at, evidence }: FailoverState & { readonly phase: 'failed' }): FailoverState {
  return at === 'taking-over' ? { phase: 'proving' } : { phase: at, evidence };
}

function following({ phase, evidence }: Running, report: FailoverReport): FailoverState {
  const next = FAILOVER_STEPS[FAILOVER_STEPS.indexOf(phase) + 1];
  return next ? { phase: next, evidence } : { phase: 'done', report };
}
