import type { EventKind, MethodName } from '@gannet/contract';

const CHECKPOINTS = ['checkpoint', 'protect', 'reprotect', 'failover'] as const;

/**
 * Kinds of events that happen by themselves while a command is under way. They are consequences of
 * these commands alone; of any other, nobody who asked for it wanted them. Kinds that are missing
 * here can be a consequence of every command.
 */
const ONLY_OF: Partial<Record<EventKind, readonly MethodName[]>> = {
  checkpoint: CHECKPOINTS,
  commit: CHECKPOINTS,
  'write-back': ['failover'],
  peer: [],
  strangers: [],
  reloaded: [],
  'not-reloaded': [],
  'needs-restart': [],
  'disk-failed': [],
  'guest-woken': [],
  'copy-begins': ['protect', 'reprotect'],
  resynced: ['protect', 'reprotect'],
  'seed-link-lost': [],
  'seed-link-back': [],
  'memory-pressure': [],
  'writes-held': [],
  spill: [],
  snapshot: ['snapshot'],
  'snapshot-lost': [],
};

/** A comparison changes nothing in the VM: whatever else happens meanwhile is no part of it. */
const OF_VERIFY: ReadonlySet<EventKind> = new Set(['command', 'replica-differs', 'verified']);

/** @param name of the command; undefined for what the daemon does by itself */
export function isConsequence(kind: EventKind, name: MethodName | undefined): boolean {
  if (name === undefined) return true;
  if (name === 'verify') return OF_VERIFY.has(kind);
  return ONLY_OF[kind]?.includes(name) ?? true;
}
