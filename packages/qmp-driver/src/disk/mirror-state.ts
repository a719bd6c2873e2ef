/**
 * The phases of a mirror, what can happen in each, and what follows.
 *
 *   new ──► copying ──► ready ──► sealed ──► finishing ──► ended    both disks are equal
 *             │ ▲        │  ▲                                ▲
 *             ▼ │        ▼  └────────────┐                   │
 *            halted   interrupted ──► behind            cancelling  from any phase, on request
 *
 * `failed` can follow any phase but `cancelling` and `ended`. A job of an earlier process begins as
 * `adopted` and goes straight to `sealed`.
 */

export type MirrorPhase =
  /** QEMU does not know the job yet. */
  | 'new'
  /** The job copies. An error of the target halts it. */
  | 'copying'
  /** As `copying`, but nobody here can resume it: the first error is final. */
  | 'adopted'
  /** The job stopped on an error while it copied. It can be resumed. */
  | 'halted'
  /** Both disks are equal and each write goes to both. An error of the target halts the job. */
  | 'ready'
  /**
   * The job stopped on an error after READY. It can be resumed, but QEMU won't report READY again.
   */
  | 'interrupted'
  /** Resumed after `interrupted`. The disks are equal again once the dirty bitmap is empty. */
  | 'behind'
  /** As `ready`, but the replica counts on this mirror: the first error is final. */
  | 'sealed'
  /** QEMU was asked to end the job with both disks equal. */
  | 'finishing'
  /** QEMU was asked to end the job at once, whatever is left to copy. */
  | 'cancelling'
  /** The job is gone, because we asked for it. */
  | 'ended'
  /** The job failed, or somebody else ended it. QEMU may still have it, halted. */
  | 'failed';

/** What happens to a mirror: events of QEMU in capitals, then what this package finds or does. */
export type MirrorInput =
  | 'READY'
  /** BLOCK_JOB_ERROR with the action `stop`. */
  | 'ERROR'
  /** BLOCK_JOB_COMPLETED without an error. */
  | 'COMPLETED'
  /** BLOCK_JOB_COMPLETED with an error. */
  | 'BROKEN'
  | 'CANCELLED'
  /** The job is not in query-block-jobs any more. */
  | 'gone'
  /** Something other than an event shows that the job cannot go on. */
  | 'fail'
  /** QEMU has answered blockdev-mirror; events of the job may have come before. */
  | 'started'
  /** A job of an earlier process was found. */
  | 'adopt'
  /** QEMU is about to be asked to resume the job. */
  | 'resume'
  /** The dirty bitmap is empty. */
  | 'caught-up'
  /** From now on the first error is final. */
  | 'seal'
  /** QEMU is about to be asked to end the job once the disks are equal. */
  | 'finish'
  /** QEMU is about to be asked to end the job at once. */
  | 'cancel';

/** May come in any phase, and mean nothing in some. The others are steps that we take. */
const UNASKED: ReadonlySet<MirrorInput> = new Set([
  ...(['READY', 'ERROR', 'COMPLETED', 'BROKEN', 'CANCELLED', 'gone', 'fail', 'cancel'] as const),
]);

const ENDS_UNASKED = { COMPLETED: 'failed', BROKEN: 'failed', CANCELLED: 'failed' } as const;
const CAN_FAIL = { fail: 'failed', cancel: 'cancelling' } as const;

const STEPS: Readonly<Record<MirrorPhase, Readonly<Partial<Record<MirrorInput, MirrorPhase>>>>> = {
  new: {
    ...{ started: 'copying', adopt: 'adopted', READY: 'ready', ERROR: 'halted' },
    ...ENDS_UNASKED,
    ...CAN_FAIL,
  },
  copying: { READY: 'ready', ERROR: 'halted', ...ENDS_UNASKED, ...CAN_FAIL },
  adopted: { READY: 'sealed', ERROR: 'failed', ...ENDS_UNASKED, ...CAN_FAIL },
  halted: {
    ...{ started: 'halted', READY: 'interrupted', resume: 'copying' },
    ...ENDS_UNASKED,
    ...CAN_FAIL,
  },
  ready: {
    ...{ started: 'ready', ERROR: 'interrupted', seal: 'sealed' },
    ...ENDS_UNASKED,
    ...CAN_FAIL,
  },
  interrupted: { started: 'interrupted', resume: 'behind', ...ENDS_UNASKED, ...CAN_FAIL },
  behind: { ERROR: 'interrupted', 'caught-up': 'ready', ...ENDS_UNASKED, ...CAN_FAIL },
  sealed: {
    ...{ started: 'sealed', seal: 'sealed', finish: 'finishing', ERROR: 'failed' },
    ...ENDS_UNASKED,
    ...CAN_FAIL,
  },
  finishing: {
    ...{ seal: 'finishing', finish: 'finishing', COMPLETED: 'ended' },
    // A job that is cancelled by force does not leave equal disks.
    ...{ ERROR: 'failed', BROKEN: 'failed', CANCELLED: 'failed' },
    ...CAN_FAIL,
  },
  cancelling: {
    ...{ started: 'cancelling', COMPLETED: 'ended', BROKEN: 'ended', CANCELLED: 'ended' },
    gone: 'ended',
  },
  ended: { started: 'ended', seal: 'ended', finish: 'ended' },
  failed: { started: 'failed' },
};

/**
 * The phase that follows; the same one where the input means nothing.
 * @throws Error for a step that must not be taken in this phase: a mistake in this package
 */
export function nextPhase(phase: MirrorPhase, input: MirrorInput): MirrorPhase {
  const next = STEPS[phase][input];
  if (next !== undefined) return next;
  if (UNASKED.has(input)) return phase;
  throw new Error(`a mirror that is ${phase} must not be told ${input}`);
}

/** The job was READY: what fails now was a complete copy. */
export const WAS_READY: ReadonlySet<MirrorPhase> = new Set([
  ...(['ready', 'interrupted', 'behind', 'sealed', 'finishing'] as const),
]);

/** The replica has all writes, as far as is known. */
export const COMPLETE: ReadonlySet<MirrorPhase> = new Set(['ready', 'sealed', 'finishing']);

/** The job stands still and waits to be resumed. */
export const HALTED: ReadonlySet<MirrorPhase> = new Set(['halted', 'interrupted']);

/** An error of the target is not final yet. */
export const RESUMABLE: ReadonlySet<MirrorPhase> = new Set([
  ...(['new', 'copying', 'halted', 'ready', 'interrupted', 'behind'] as const),
]);

/** No phase follows. */
export const OVER: ReadonlySet<MirrorPhase> = new Set(['ended', 'failed']);
