/**
 * The phases of both sides, and what leads from one to another. What a table does not have cannot
 * happen; `followingPhase` throws.
 */
import { VsmrError } from './errors.js';

/** What the secondary is doing. */
export type SecondaryEnginePhase = keyof typeof SECONDARY_PHASES;
/** What the primary is doing. */
export type PrimaryEnginePhase = keyof typeof PRIMARY_PHASES;

/** What happens to the secondary. */
export type SecondaryEngineInput =
  /** The primary begins to send RAM while its guest runs. */
  | 'copy'
  /** All of that is here. */
  | 'copied'
  /** The primary begins a checkpoint. */
  | 'prepare'
  /** The checkpoint was given up, or the link broke, before all of it was here. */
  | 'dropped'
  /** The commit point: all of the checkpoint is here, and nothing of the primary is needed more. */
  | 'decide'
  /** RAM, devices and disks are those of the checkpoint. */
  | 'applied'
  /** It could not be applied. */
  | 'failed'
  /** RAM and devices are as before. */
  | 'undone'
  /** The primary says that the checkpoint is of a state that never was. */
  | 'spoilt'
  /** The primary is dead: the guest goes on here. */
  | 'take-over';

/** What happens to the primary. */
export type PrimaryEngineInput =
  /** RAM is to be sent while the guest runs. */
  | 'copy'
  | 'copied'
  /** A checkpoint begins. */
  | 'prepare'
  /** All of the checkpoint was sent: the secondary decides. */
  | 'sent'
  /** The secondary has it: output may go. */
  | 'committed'
  /** Output has gone, and the guest runs. */
  | 'released'
  /** Output has gone, and the guest stays paused: it was the last checkpoint. */
  | 'handed-over'
  /** Nobody has asked the secondary to go on: this side does. */
  | 'taken-back'
  /** The secondary does not have it, or something failed here; both are as before. */
  | 'aborted'
  /** The link broke. Whether the secondary has the checkpoint under way is not known. */
  | 'lost'
  /** It was decided that this side goes on without its secondary. */
  | 'leave';

/**
 * A takeover continues from the last checkpoint in `running` and `preparing`, and from the one
 * under way in `applying` (from the last one, if that fails). Before the first checkpoint, and in
 * `unfit`, there is nothing to continue from.
 */
export const SECONDARY_PHASES = {
  /** No checkpoint yet. */
  blank: { copy: 'copying', prepare: 'preparing-first' },
  copying: { copied: 'blank', dropped: 'blank' },
  'preparing-first': { decide: 'applying-first', dropped: 'blank' },
  'applying-first': { applied: 'running', failed: 'blank' },
  /** On its own, from the last checkpoint. */
  running: { prepare: 'preparing', spoilt: 'unfit', 'take-over': 'taken-over' },
  /** Stopped. RAM and devices are its own; what arrives is kept beside them. */
  preparing: { decide: 'applying', dropped: 'running' },
  /** What has arrived replaces RAM and devices, then the disks are committed. */
  applying: { applied: 'running', failed: 'undoing' },
  /** Its own RAM and devices are put back. */
  undoing: { undone: 'running', failed: 'unfit' },
  /** Neither the last checkpoint nor the one that followed is here: it never takes over. */
  unfit: {},
  'taken-over': {},
} as const satisfies Record<string, Partial<Record<SecondaryEngineInput, string>>>;

/**
 * The guest is paused from `preparing` until it is `running` again, also in `cut` and in
 * `handed-over`.
 */
export const PRIMARY_PHASES = {
  running: { copy: 'copying', prepare: 'preparing', lost: 'cut', leave: 'alone' },
  copying: { copied: 'running', aborted: 'running', lost: 'cut' },
  preparing: { sent: 'deciding', aborted: 'running', lost: 'cut' },
  deciding: { committed: 'releasing', aborted: 'running', lost: 'cut' },
  releasing: { released: 'running', 'handed-over': 'handed-over', lost: 'cut' },
  /** The secondary has exactly what the guest is, which stays paused. */
  'handed-over': { 'taken-back': 'running', leave: 'alone' },
  /** Nobody has decided yet who goes on. Output stays held. */
  cut: { leave: 'alone' },
  alone: {},
} as const satisfies Record<string, Partial<Record<PrimaryEngineInput, string>>>;

/**
 * The phase that follows.
 *
 * @throws VsmrError VSMR_PHASE if the table has none
 */
export function followingPhase<Phase extends string, Input extends string>(
  table: Readonly<Record<Phase, Readonly<Partial<Record<Input, string>>>>>,
  phase: Phase,
  input: Input,
): Phase {
  const next = table[phase][input];
  if (next === undefined) {
    const remedy = 'Wait for what is under way; after a takeover, or alone, begin a new pair.';
    throw new VsmrError('VSMR_PHASE', `no ${input} in the phase ${phase}`, remedy);
  }
  return next as Phase;
}
