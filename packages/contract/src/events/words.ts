/** Words and numbers that several kinds of events share. */
import type { EventOrigin, EventRole, EventSample } from './meaning.js';
import { bytesOfPages } from '../format.js';
import { FAILOVER_EVIDENCE, type FailoverEvidence } from '../states.js';

export const EVIDENCE_LABELS: Readonly<Record<FailoverEvidence, 'proof' | 'fence' | 'operator'>> = {
  [FAILOVER_EVIDENCE.word]: 'proof',
  [FAILOVER_EVIDENCE.yielding]: 'proof',
  [FAILOVER_EVIDENCE.moved]: 'proof',
  [FAILOVER_EVIDENCE.claimed]: 'proof',
  [FAILOVER_EVIDENCE.fence]: 'fence',
  [FAILOVER_EVIDENCE.arbiter]: 'fence',
  [FAILOVER_EVIDENCE.operator]: 'operator',
  [FAILOVER_EVIDENCE.done]: 'proof',
};

export const PULSE_LEVELS = {
  none: 'info',
  unknown: 'info',
  up: 'info',
  late: 'warn',
  lost: 'error',
} as const;

export function takeOver(vm: string): string {
  return `If the primary is dead, run \`gannet failover ${vm}\` on this host.`;
}

/** For the host whose QEMU is the VM now. */
export function reprotect({ vm }: EventOrigin): string {
  return `Start a new secondary, then run \`gannet reprotect ${vm}\` on this host.`;
}

/** On the primary host, whose secondary is of no use any more. */
export function protectAgain({ vm }: EventOrigin): string {
  return `Restart the secondary's daemon and QEMU, then run \`gannet protect ${vm}\` on this host.`;
}

export function otherOf(role: EventRole): EventRole {
  return role === 'primary' ? 'secondary' : 'primary';
}

export function listed(items: readonly string[]): string {
  return items.length > 0 ? items.join(', ') : 'nothing';
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function inSeconds(valueMs: number | null): EventSample | undefined {
  return valueMs === null ? undefined : { value: valueMs / 1000 };
}

export function inBytes(pages: number): EventSample {
  return { value: bytesOfPages(pages) };
}
