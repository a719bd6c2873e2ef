/**
 * The words that status and peer messages use, and what may be concluded from them. No imports at
 * run time: the web page loads this file too.
 */
import type { ReplicaState } from '@gannet/replicator';

/** What makes checkpoints: QEMU's COLO, or Gannet itself, with snapshots of QEMU. */
export const ENGINES = ['colo', 'vsmr'] as const;
export type Engine = (typeof ENGINES)[number];

/** What the primary's daemon says about the protection. */
export const PRIMARY_STATES = [
  /** QEMU is there and cannot be asked. */
  'unknown',
  'unprotected',
  'protecting',
  'protected',
  /** It runs on without its secondary. */
  'alone',
  /** Its QEMU is new, and the secondary may have taken over: the guest stands still. */
  'held',
  /** Its disk or its guest has failed: the guest is stopped, and the secondary is to take over. */
  'yielding',
  /** The guest was ended on purpose: nobody takes over. */
  'ended',
  /** The secondary's copy is the newer one: the guest here is stopped. */
  'superseded',
] as const;
export type PrimaryState = (typeof PRIMARY_STATES)[number];

/** Instead of a state. `none`: `gannet check` without a daemon; `unknown`: of a newer daemon. */
export const NO_STATES = ['none', 'unknown'] as const;

/** What the secondary's daemon says about its replica. */
export const SECONDARY_STATES = [
  'seeding',
  'protected',
  'failed-over',
  'retired',
  'diverged',
] as const;
export type SecondaryState = (typeof SECONDARY_STATES)[number];

/**
 * What a daemon knows about its own QEMU. `hung`: it does not answer, or nothing proves that it has
 * ended. `lost`: it has ended. `unusable`: it is there, but can't be prepared (secondary only).
 */
export const VM_STATES = ['awaited', 'ready', 'unusable', 'hung', 'lost'] as const;
export type QemuState = (typeof VM_STATES)[number];

/** In words that follow "QEMU": for events, the page and the terminal. */
export const QEMU_TEXTS: Readonly<Record<QemuState | 'unknown', string>> = {
  awaited: 'not connected',
  ready: 'responding',
  unusable: 'cannot be used',
  hung: 'not responding',
  lost: 'has ended',
  unknown: 'unknown',
};

/** How the other daemon is heard over the peer link; `none` without a peer link. */
export const PULSES = ['none', 'unknown', 'up', 'late', 'lost'] as const;
export type PeerPulse = (typeof PULSES)[number];

/** Whether all of the primary's writes reach the replica. */
export const REPLICA_LINKS = ['none', 'whole', 'lost'] as const;
export type ReplicaLink = (typeof REPLICA_LINKS)[number];

/**
 * What an I/O error of the primary's own disk did. `lacks-write`: only the replica has what was
 * written; `stopped`: QEMU has stopped the guest; `reported`: the guest was told; `read-elsewhere`:
 * the replica answered.
 */
export const DISK_EFFECTS = ['lacks-write', 'stopped', 'reported', 'read-elsewhere'] as const;
export type DiskEffect = (typeof DISK_EFFECTS)[number];

/** In words that follow the error. */
export const DISK_EFFECT_TEXTS: Readonly<Record<DiskEffect, string>> = {
  'lacks-write': '; the replica has the data',
  stopped: '; QEMU stopped the guest',
  reported: '; the guest was told',
  'read-elsewhere': '; the replica answered',
};

/** What asked for a checkpoint. `output`: the guests sent different packets. */
export const CHECKPOINT_CAUSES = ['period', 'demand', 'memory', 'output'] as const;
export type CheckpointCause = (typeof CHECKPOINT_CAUSES)[number];

/**
 * The stages of `protect` and `reprotect`, in order. In `colo` or `vsmr`, as the engine is, the
 * guest's memory goes over. `network` only with cards in `network`.
 */
export const PROTECT_STAGES = [
  'check',
  'seed',
  'attach',
  ...ENGINES,
  'first checkpoint',
  'finish',
  'network',
] as const;
export type ProtectStage = (typeof PROTECT_STAGES)[number];

/** How much of the disks is copied. */
export const COPY_KINDS = ['whole', 'changes'] as const;
export type CopyKind = (typeof COPY_KINDS)[number];

/** The same in words that follow "copying". */
export const COPY_KIND_TEXTS: Readonly<Record<CopyKind, string>> = {
  whole: 'the whole disks',
  changes: 'only what has changed',
};

/** The stages of a secondary's `failover`, in order. `fence` only if a fence command is needed. */
export const FAILOVER_STAGES = [
  'fence',
  'take over',
  'journal',
  'write back',
  'local disks',
] as const;
export type FailoverStage = (typeof FAILOVER_STAGES)[number];

/** Why a secondary may believe that the primary is dead, in the words of events and reports. */
export const FAILOVER_EVIDENCE = {
  word: "the primary's daemon reports that its QEMU has ended",
  yielding: "the primary's daemon has stopped its guest and asks for the takeover",
  claimed: 'this host has claimed the VM before, and the primary has stopped its guest for it',
  fence: 'the fence command stopped the primary',
  arbiter: 'the arbiter has granted the VM to this host',
  operator: 'an operator used --force',
  done: 'the secondary took over before',
} as const;
export type FailoverEvidence = (typeof FAILOVER_EVIDENCE)[keyof typeof FAILOVER_EVIDENCE];

/**
 * What a side said last of its own copy of the VM, on disk. In `leaving` and `alone` a primary has
 * raised its term, so its secondary is outdated. Only in `alone` may it acknowledge a write that
 * the replica does not have.
 */
export const COPY_WORDS = [
  'none',
  'protected',
  'leaving',
  'alone',
  'taken-over',
  'outdated',
] as const;
export type CopyWord = (typeof COPY_WORDS)[number];

/**
 * What a side may act on, besides what it knows of itself. Silence is none of these.
 *
 * - `word`: the other side's daemon says it: its QEMU has ended, or its copy is outdated
 * - `fence`: the fence command has exited with 0
 * - `arbiter`: a third party has granted it
 * - `operator`: somebody said `--force`
 */
export const EVIDENCE_KINDS = ['word', 'fence', 'arbiter', 'operator'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

export const EVIDENCE_TEXTS: Readonly<Record<EvidenceKind, string>> = {
  word: "the other daemon's word",
  fence: 'the fence',
  arbiter: 'the arbiter',
  operator: 'an operator',
};

/** Who decides that a VM is protected, again or for the first time. */
export const PROTECTION_MODES = ['manual', 'automatic'] as const;
export type ProtectionMode = (typeof PROTECTION_MODES)[number];

/**
 * Why a VM whose protection is `automatic` is not being protected now, in words that follow "not
 * yet:". In the order in which they are looked for.
 */
export const WAIT_TEXTS = {
  outdated: 'the copy here is outdated',
  'in-doubt': 'it is not known whether the copy here may run',
  'no-guest': 'no guest runs here',
  moving: 'the guest still moves to its local disks',
  detached: 'an operator has ended the protection',
  busy: 'something else is under way',
  'no-way': 'the configuration of this host leads to no other host',
  'no-secondary': 'no secondary is heard',
  'secondary-unready': 'the secondary is not ready for a new copy',
  failed: 'the last attempt failed',
  'too-often': 'it has been protected too often lately',
} as const;
export type WaitReason = keyof typeof WAIT_TEXTS;
export const WAIT_REASONS = Object.keys(WAIT_TEXTS) as [WaitReason, ...WaitReason[]];

/** Why an operator's command made a primary continue alone, in the words of events. */
export const OPERATOR_REASONS = {
  detach: 'an operator detached the secondary',
  failover: 'an operator ran `gannet failover`',
} as const;

/** The QEMU beside this replica is the VM now. */
export function hasTakenOver(state: string | undefined): boolean {
  return state === 'failed-over' || state === 'retired';
}

/** No state that a primary could wait for follows: the secondary must be restarted. */
export function isFinal(state: string | undefined): boolean {
  return state === 'diverged' || hasTakenOver(state);
}

/** The other side's QEMU has ended, or can't be relied upon. */
export function isDown(vm: string | undefined): boolean {
  return vm === 'lost' || vm === 'hung';
}

/** Both lists have the same members: the contract's, and the replicator's. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
true satisfies Same<SecondaryState, ReplicaState>;

/** Protected, and nothing is wrong. A daemon of an earlier version gives no verdict: false. */
export function isWell({ health }: { readonly health?: { readonly level: string } }): boolean {
  return health?.level === 'good';
}
