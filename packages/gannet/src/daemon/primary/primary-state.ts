import type { ProtectStage } from '@gannet/contract';

/**
 * What a primary is, and what each event makes of it. Pure: whoever holds the state carries out
 * what it means (protect.ts, let-go.ts, guest-guard.ts).
 *
 * ```
 * unattached ──► unprotected ──► protecting ──► protected ──► letting-go ──► alone, unprotected
 *      │              ▲  ▲            │         │   ▲              │
 *      │              │  └────────────┘         │   └──────────────┘ failed
 *      ├──────► held ─┘                         └──► yielding, ended
 *      └──────────────┴─────────► superseded ◄── any of them
 * ```
 */
export type PrimaryRoleState =
  /** This daemon has not seen its QEMU yet, so it does not know whether it is protected. */
  | { readonly phase: 'unattached' }
  | { readonly phase: 'unprotected' }
  | {
      readonly phase: 'protecting';
      readonly before: 'unprotected' | 'alone';
      readonly stage: ProtectStage | '';
    }
  /** `loss`: why it has lost its secondary, until it has let go of it. */
  | { readonly phase: 'protected'; readonly loss: string | undefined }
  /**
   * If it fails, `loss` is as open as before. `yielded`: why the guest was to be taken over, if an
   * operator has overruled that.
   */
  | {
      readonly phase: 'letting-go';
      readonly to: 'alone' | 'unprotected';
      readonly reason: string;
      readonly loss: string | undefined;
      readonly yielded?: string | undefined;
    }
  /** A new QEMU, beside a secondary that may have taken over: its guest has to stand still. */
  | { readonly phase: 'held' }
  /** The guest runs on; the replica is outdated, whether it knows or not. */
  | { readonly phase: 'alone' }
  /** Its disk or guest has failed: the guest is stopped, for the secondary to take over. */
  | { readonly phase: 'yielding'; readonly reason: string; readonly isStopped: boolean }
  /** The guest was ended on purpose, and the secondary is outdated. */
  | { readonly phase: 'ended'; readonly reason: string }
  /** The secondary's copy is the newer one: this guest has to stand still. */
  | { readonly phase: 'superseded' };

export type PrimaryPhase = PrimaryRoleState['phase'];

export type PrimaryRoleEvent =
  /** A QEMU is there that is in no COLO, or already is. */
  | { readonly kind: 'found-idle' }
  | { readonly kind: 'found-protected' }
  | { readonly kind: 'protect' }
  | { readonly kind: 'stage'; readonly stage: ProtectStage }
  | { readonly kind: 'protect-done' }
  | { readonly kind: 'protect-failed' }
  | { readonly kind: 'loss'; readonly reason: string }
  /** What was lost is there again. */
  | { readonly kind: 'recovered' }
  | { readonly kind: 'let-go'; readonly to: 'alone' | 'unprotected'; readonly reason: string }
  | { readonly kind: 'let-go-done' }
  | { readonly kind: 'let-go-failed' }
  /** The guest can't go on here, and the secondary's can. */
  | { readonly kind: 'guest-failed'; readonly reason: string }
  /** It stands still now, or its QEMU has ended. */
  | { readonly kind: 'guest-stopped' }
  | { readonly kind: 'guest-ended'; readonly reason: string }
  /** It was continued. */
  | { readonly kind: 'guest-runs' }
  /** The QEMU is new. */
  | { readonly kind: 'hold' }
  /** The peer has the newer copy; or an operator overrules that. */
  | { readonly kind: 'second-copy' }
  | { readonly kind: 'overrule' };

export type PrimaryEventKind = PrimaryRoleEvent['kind'];

/** What an event does where the table does not say otherwise. */
const OTHERWISE: Readonly<Record<PrimaryEventKind, 'same' | 'refused' | 'illegal'>> = {
  // News of QEMU and of the peer may come at any time.
  'found-idle': 'illegal',
  'found-protected': 'illegal',
  loss: 'same',
  recovered: 'same',
  'guest-failed': 'same',
  'guest-stopped': 'same',
  'guest-ended': 'same',
  'guest-runs': 'same',
  hold: 'illegal',
  'second-copy': 'same',
  overrule: 'refused',
  // Whoever asks is told that it can't be done.
  protect: 'refused',
  'let-go': 'refused',
  // Reports of what is not under way are a bug.
  stage: 'illegal',
  'protect-done': 'illegal',
  'protect-failed': 'illegal',
  'let-go-done': 'illegal',
  'let-go-failed': 'illegal',
};

type Next<P extends PrimaryPhase> = {
  readonly [K in PrimaryEventKind]?: (
    event: PrimaryRoleEvent & { readonly kind: K },
    state: PrimaryRoleState & { readonly phase: P },
  ) => PrimaryRoleState;
};

const UNPROTECTED: PrimaryRoleState = { phase: 'unprotected' };
const PROTECTED: PrimaryRoleState = { phase: 'protected', loss: undefined };
const HELD: PrimaryRoleState = { phase: 'held' };
const SUPERSEDED: PrimaryRoleState = { phase: 'superseded' };

type Lossy = PrimaryRoleState & { readonly phase: 'protected' | 'letting-go' };

/** A QEMU that comes while something is under way waits for its end: see PrimaryRole. */
const FOUND = {
  'found-idle': () => UNPROTECTED,
  'found-protected': () => PROTECTED,
  hold: () => HELD,
};
const COPIED = { 'second-copy': () => SUPERSEDED };
const ENDED = {
  'guest-ended': ({ reason }: { readonly reason: string }): PrimaryRoleState => ({
    ...{ phase: 'ended', reason },
  }),
};
/** Acted upon once: it is said again and again. */
const LOSS = {
  loss: <S extends Lossy>({ reason }: { readonly reason: string }, state: S): S =>
    state.loss === undefined ? { ...state, loss: reason } : state,
  recovered: <S extends Lossy>(_event: unknown, state: S): S =>
    state.loss === undefined ? state : { ...state, loss: undefined },
};
const same = (_event: PrimaryRoleEvent, state: PrimaryRoleState): PrimaryRoleState => state;

export const PRIMARY_TABLE: { readonly [P in PrimaryPhase]: Next<P> } = {
  unattached: {
    ...FOUND,
    ...COPIED,
    // It had failed already, before this daemon came.
    'guest-failed': ({ reason }) => ({ phase: 'yielding', reason, isStopped: false }),
  },
  unprotected: {
    ...FOUND,
    ...COPIED,
    protect: () => ({ phase: 'protecting', before: 'unprotected', stage: '' }),
  },
  protecting: {
    ...COPIED,
    stage: ({ stage }, state) => ({ ...state, stage }),
    'protect-done': () => PROTECTED,
    'protect-failed': (_event, { before }) => ({ phase: before }),
  },
  protected: {
    ...FOUND,
    ...COPIED,
    ...ENDED,
    'guest-failed': ({ reason }) => ({ phase: 'yielding', reason, isStopped: false }),
    ...LOSS,
    'let-go': ({ to, reason }, { loss }) => ({ phase: 'letting-go', to, reason, loss }),
  },
  'letting-go': {
    ...COPIED,
    ...ENDED,
    ...LOSS,
    // Another wish for the same: whether it is forced is not this table's business.
    'let-go': same,
    'let-go-done': (_event, { to }) => ({ phase: to }),
    'let-go-failed': (_event, { loss, yielded: reason }) =>
      reason === undefined
        ? { phase: 'protected', loss }
        : { phase: 'yielding', reason, isStopped: false },
  },
  yielding: {
    ...COPIED,
    'found-idle': () => UNPROTECTED,
    'found-protected': same,
    hold: () => HELD,
    'guest-stopped': (_event, state) => ({ ...state, isStopped: true }),
    'guest-runs': (_event, state) => ({ ...state, isStopped: false }),
    // By force: see GuestFate.
    'let-go': ({ to, reason }, state) => {
      return { phase: 'letting-go', to, reason, loss: undefined, yielded: state.reason };
    },
  },
  ended: {
    ...FOUND,
    ...COPIED,
    'guest-runs': () => UNPROTECTED,
    // What was under way when it ended.
    'let-go-done': same,
    'let-go-failed': same,
  },
  held: {
    ...FOUND,
    ...COPIED,
    // The guest stands still until this is done.
    'let-go': same,
    'let-go-done': () => UNPROTECTED,
    'let-go-failed': same,
  },
  alone: {
    ...FOUND,
    ...COPIED,
    protect: () => ({ phase: 'protecting', before: 'alone', stage: '' }),
  },
  superseded: {
    'found-idle': same,
    'found-protected': same,
    hold: same,
    // What was under way ends, and changes nothing any more.
    stage: same,
    'protect-done': same,
    'protect-failed': same,
    'let-go-done': same,
    'let-go-failed': same,
    overrule: () => ({ phase: 'alone' }),
  },
};

/**
 * @returns the next state, or `refused` for a wish that can't be fulfilled now
 * @throws Error for what can't happen in this state: a bug
 */
export function nextPrimaryState(
  state: PrimaryRoleState,
  event: PrimaryRoleEvent,
): PrimaryRoleState | 'refused' {
  type AnyCell = (event: PrimaryRoleEvent, state: PrimaryRoleState) => PrimaryRoleState;
  const cell = PRIMARY_TABLE[state.phase][event.kind] as AnyCell | undefined;
  if (cell) return cell(event, state);
  const otherwise = OTHERWISE[event.kind];
  if (otherwise === 'same') return state;
  if (otherwise === 'refused') return otherwise;
  throw new Error(`a primary that is ${state.phase} cannot have ${event.kind}`);
}
