// What happens to a run, all of it from its seed: how the pair is configured, and each fault and
// command, with its time. Shrinking takes steps away.

import { Random } from '@gannet/test-support/random.js';
import type { HostName } from './network.js';
import type { DiskFault } from './vm/qemu.js';

export type Step =
  /** Packets of one network get lost: of one direction, or of both. */
  | { readonly kind: 'silence'; readonly net: 'peer' | 'data' | 'both'; readonly from: Side }
  | { readonly kind: 'heal'; readonly net: 'peer' | 'data' | 'both' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'kill-daemon'; readonly host: HostName; readonly forMs: number }
  | { readonly kind: 'stop-daemon'; readonly host: HostName; readonly forMs: number }
  | { readonly kind: 'halt-daemon'; readonly host: HostName; readonly forMs: number }
  /** Each turn of its event loop takes more than `lowMs`. */
  | { readonly kind: 'slow-daemon'; readonly host: HostName; readonly forMs: number }
  | { readonly kind: 'kill-qemu'; readonly host: HostName }
  | { readonly kind: 'hang-qemu'; readonly host: HostName; readonly how: 'links' | 'hard' }
  | { readonly kind: 'free-qemu'; readonly host: HostName }
  | { readonly kind: 'start-qemu'; readonly host: HostName }
  /** QEMU's monitor hangs up, and takes a new connection. */
  | { readonly kind: 'cut-qmp'; readonly host: HostName }
  /** The guest of the primary panics, and may well go on for a while. */
  | { readonly kind: 'panic' }
  /** The disk of the primary's host takes no writes for a while. */
  | { readonly kind: 'disk-error'; readonly how: DiskFault; readonly forMs: number }
  /** The clock of a host stands still with it, as during a snapshot. */
  | { readonly kind: 'suspend-host'; readonly host: HostName; readonly forMs: number }
  | { readonly kind: 'power-off'; readonly host: HostName; readonly forMs: number }
  | { readonly kind: 'operator'; readonly host: HostName; readonly command: Command }
  /** The secondary's daemon and QEMU are started again, for a new protection. */
  | { readonly kind: 'new-secondary' }
  /** An operator protects a survivor: the other host becomes its secondary. */
  | { readonly kind: 'reprotect' };

type Side = HostName | 'both';

export type Command =
  | { readonly name: 'protect' }
  | { readonly name: 'reprotect' }
  | { readonly name: 'detach'; readonly force: boolean }
  | { readonly name: 'failover'; readonly force: boolean; readonly overrulePeer: boolean };

export type StepAt = { readonly atMs: number } & Step;

export interface Plan {
  readonly seed: number;
  readonly primaryHasFence: boolean;
  readonly secondaryHasFence: boolean;
  readonly isAutomatic: boolean;
  /** Whether a lost secondary is let go without being asked. */
  readonly letsGo: boolean;
  /** An operator protects a survivor as soon as it can be. */
  readonly isReprotected: boolean;
  /** How often a fence does what it is to do. */
  readonly fenceWorks: number;
  /** How long the faults last. */
  readonly troubleMs: number;
  readonly steps: readonly StepAt[];
  /** Another VM on the same hosts, crosswise: its primary is where the secondary of this one is. */
  readonly beside?: Plan;
}

/** When the first protection is there, if nothing happens. */
const BEGIN_MS = 6000;

/** Of four seeds, one has two VMs, and one has a daemon that is slow. */
export function planOf(seed: number): Plan {
  const plan = onePlan(seed);
  if (seed % 4 === 2) {
    const random = new Random(seed ^ 0x51a3b7c9);
    const atMs = random.below(plan.troubleMs);
    const host = random.pick(['a', 'b'] as const);
    const slow: StepAt = { atMs, kind: 'slow-daemon', host, forMs: 5000 + random.below(40_000) };
    const others = random.chance(0.3) ? [] : plan.steps;
    return { ...plan, steps: [...others, slow].sort((a, b) => a.atMs - b.atMs) };
  }
  if (seed % 4 !== 3) return plan;
  const beside = onePlan(seed ^ 0x2545f491);
  // All faults of both have happened by then.
  const troubleMs = Math.max(plan.troubleMs, beside.troubleMs);
  return { ...plan, troubleMs, beside: { ...beside, seed, troubleMs } };
}

function onePlan(seed: number): Plan {
  // A generator of its own: the plan stays when the run changes.
  const random = new Random(seed ^ 0x2c1b3c6d);
  const primaryHasFence = random.chance(0.7);
  const troubleMs = 15_000 + random.below(45_000);
  const mayForce = random.chance(0.3);
  const count = 1 + random.below(9);
  // One fault alone is met; what is done about it is disturbed by the next one.
  const moments = Array.from({ length: 1 + random.below(3) }, () => {
    return (random.chance(0.1) ? 0 : BEGIN_MS) + random.below(troubleMs - 10_000);
  });
  const steps: StepAt[] = [];
  for (let index = 0; index < count; index++) {
    const afterMs = random.below(random.pick([50, 2000, 8000, 20_000]));
    const atMs = Math.min(random.pick(moments) + afterMs, BEGIN_MS + troubleMs - 100);
    steps.push({ atMs, ...stepOf(random, mayForce) });
  }
  if (mayForce && random.chance(0.4)) steps.push(...overruling(random, troubleMs));
  const secondaryHasFence = random.chance(primaryHasFence ? 0.9 : 0.3);
  return {
    seed,
    primaryHasFence,
    secondaryHasFence,
    isAutomatic: random.chance(0.75) && secondaryHasFence,
    letsGo: random.chance(0.85),
    isReprotected: random.chance(0.6),
    fenceWorks: random.pick([1, 1, 0.7, 0]),
    troubleMs: troubleMs + BEGIN_MS,
    steps: steps.sort((a, b) => a.atMs - b.atMs),
  };
}

function stepOf(random: Random, mayForce: boolean): Step {
  const host = random.pick(['a', 'b'] as const);
  const forMs = Math.round(random.pick([300, 3000, 15_000]) * (0.5 + random.next()));
  const net = random.pick(['peer', 'data', 'both', 'both'] as const);
  const kinds: readonly (readonly [weight: number, make: () => Step])[] = [
    [5, () => ({ kind: 'silence', net, from: random.pick(['a', 'b', 'both', 'both'] as const) })],
    [4, () => ({ kind: 'heal', net: random.pick(['both', net] as const) })],
    [2, () => ({ kind: 'reset' })],
    [3, () => ({ kind: 'kill-daemon', host, forMs })],
    [2, () => ({ kind: 'stop-daemon', host, forMs })],
    [2, () => ({ kind: 'halt-daemon', host, forMs })],
    [3, () => ({ kind: 'kill-qemu', host })],
    [3, () => ({ kind: 'hang-qemu', host, how: random.pick(['links', 'hard'] as const) })],
    [2, () => ({ kind: 'free-qemu', host })],
    [2, () => ({ kind: 'start-qemu', host })],
    [2, () => ({ kind: 'suspend-host', host, forMs })],
    [2, () => ({ kind: 'power-off', host, forMs })],
    [5, () => ({ kind: 'operator', host, command: commandOf(random, mayForce) })],
    [2, () => ({ kind: 'new-secondary' })],
    [1, () => ({ kind: 'cut-qmp', host })],
    [1, () => ({ kind: 'panic' })],
    [2, () => ({ kind: 'disk-error', how: random.pick(['swallows', 'stops'] as const), forMs })],
    [1, () => ({ kind: 'reprotect' })],
  ];
  let roll = random.below(kinds.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, make] of kinds) {
    roll -= weight;
    if (roll < 0) return make();
  }
  throw new Error('no step');
}

/** Both hosts live and are cut off from each other, and an operator lets one side run. */
function overruling(random: Random, troubleMs: number): StepAt[] {
  const cutMs = BEGIN_MS + random.below(Math.round(troubleMs / 2));
  const saidMs = cutMs + random.below(20_000);
  const host = random.pick(['a', 'b', 'b'] as const);
  const net = random.pick(['peer', 'both', 'both'] as const);
  return [
    { atMs: cutMs, kind: 'silence', net, from: 'both' },
    { atMs: saidMs, kind: 'operator', host, command: FORCED },
    { atMs: saidMs + random.below(20_000), kind: 'heal', net: 'both' },
  ];
}

const FORCED: Command = { name: 'failover', force: true, overrulePeer: true };

function commandOf(random: Random, mayForce: boolean): Command {
  const name = random.pick(['protect', 'detach', 'failover', 'failover'] as const);
  if (name === 'protect') return { name };
  const force = mayForce && random.chance(0.5);
  if (name === 'detach') return { name, force };
  return { name, force, overrulePeer: force && random.chance(0.5) };
}

/** Simpler plans, the simplest first. */
export function simplerPlans(plan: Plan): Plan[] {
  const { beside, ...alone } = plan;
  const simplerBeside = beside
    ? [alone, ...simplerPlans(beside).map((one) => ({ ...plan, beside: one }))]
    : [];
  return [...simplerBeside, ...withoutOneStep(plan)];
}

function withoutOneStep(plan: Plan): Plan[] {
  return plan.steps.map((_step, index) => ({
    ...plan,
    steps: plan.steps.filter((_other, at) => at !== index),
  }));
}
