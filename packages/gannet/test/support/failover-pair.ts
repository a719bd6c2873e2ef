import { FailoverController } from '../../src/daemon/secondary/failover.js';
import type { FailoverReport, PeerStatus } from '@gannet/contract';
import { succeeding, takenOver } from '../../src/daemon/arbitration/records.js';
import type { FailoverPolicy, PairView } from '../../src/daemon/arbitration/may-take-over.js';
import type { FenceOutcome } from '../../src/daemon/fence.js';
import { record } from './records.js';

// A failover that decides and carries out against steps that only note that they were called.

export const HIGH_MS = 1000;
export const OFF: FenceOutcome = { succeeded: true, words: 'exit code 0' };
export const BUSY: FenceOutcome = { succeeded: false, words: 'exit code 1' };

export type Step = 'claim' | 'free' | 'takeOver' | 'journal' | 'move' | 'openNetwork';

export class Pair {
  readonly events: { kind: string; [detail: string]: unknown }[] = [];
  readonly called: string[] = [];
  readonly fails = new Map<Step, Error>();
  fence: (signal: AbortSignal) => Promise<FenceOutcome> = () => Promise.resolve(OFF);
  /** The own QEMU, which may hang though nobody has noticed yet. */
  doesAnswer = true;
  isFreed = true;
  free: () => Promise<boolean> = () => Promise.resolve(this.isFreed);
  /** Of the replica, which counts on after the takeover. */
  epoch = 7;
  policy: FailoverPolicy = {
    isAutomatic: true,
    hasFence: true,
    fenceDelayMs: 0,
    highMs: HIGH_MS,
    periodMs: 100,
  };
  view: PairView = {
    vm: 'web',
    own: record('protected', 3),
    replica: { state: 'protected', reason: '', loss: undefined },
    doubt: undefined,
    ownVm: 'ready',
    coloExit: undefined,
    peer: { liveness: 'up', status: primary(), silentMs: 0 },
    commitAgeMs: 0,
  };
  readonly controller = new FailoverController({
    history: {
      add: (kind, ...[details]) => void this.events.push({ kind, ...details }),
    },
    steps: {
      fence: (signal) => {
        this.called.push('fence');
        return this.fence(signal);
      },
      claim: async (kind) => {
        await this.#carryOut('claim');
        const { own } = this.view;
        if (own.word === 'taken-over') return;
        this.view = { ...this.view, own: succeeding(own, takenOver(own, kind), '') };
      },
      free: async () => {
        if (this.doesAnswer && this.view.ownVm === 'ready') return true;
        await this.#carryOut('free');
        const isFreed = await this.free();
        if (isFreed) this.view = { ...this.view, ownVm: 'ready' };
        return isFreed;
      },
      takeOver: async () => {
        await this.#carryOut('takeOver');
        const replica = { ...this.view.replica, state: 'failed-over' as const };
        this.view = { ...this.view, replica };
        return this.epoch;
      },
      journal: () => this.#carryOut('journal'),
      move: () => this.#carryOut('move'),
      openNetwork: () => this.#carryOut('openNetwork'),
    },
    policy: () => this.policy,
    look: () => this.view,
  });

  async #carryOut(step: Step): Promise<void> {
    this.called.push(step);
    if (step === 'journal') this.epoch += 4;
    const error = this.fails.get(step);
    await Promise.resolve();
    if (error) throw error;
  }

  /** Both words of an operator. */
  forced(): Promise<FailoverReport> {
    return this.controller.failOver(true, undefined, true);
  }

  /** Since the last time. */
  get callsSince(): string[] {
    return this.called.splice(0);
  }

  kinds(...kinds: string[]): unknown[] {
    return this.events.filter(({ kind }) => kinds.includes(kind));
  }

  hears(status: Partial<PrimaryPeer>): void {
    this.view = { ...this.view, peer: { liveness: 'up', status: primary(status), silentMs: 0 } };
    this.controller.consider();
  }

  hearsNothing(silentMs: number): void {
    const peer = { liveness: 'lost' as const, status: primary(), silentMs };
    this.view = { ...this.view, peer, commitAgeMs: silentMs };
    this.controller.consider();
  }
}

type PrimaryPeer = Extract<PeerStatus, { role: 'primary' }>;

export function primary(status: Partial<PrimaryPeer> = {}): PrimaryPeer {
  return {
    ...{ role: 'primary', state: 'protected', epoch: 7, vm: 'ready' },
    record: record('protected', 3, { mustProve: true }),
    ...status,
  };
}

/** A fence that ends when the test says so, or when it is stopped. */
export function hangingFence(): { run: Pair['fence']; end: (outcome: FenceOutcome) => void } {
  let end: (outcome: FenceOutcome) => void = () => undefined;
  const run = (signal: AbortSignal): Promise<FenceOutcome> =>
    new Promise((resolve) => {
      end = resolve;
      const stopped = { succeeded: false, words: 'stopped', wasStopped: true } as const;
      signal.addEventListener('abort', () => resolve(stopped));
    });
  return { run, end: (outcome) => end(outcome) };
}

export const ALL = ['claim', 'takeOver', 'openNetwork', 'journal', 'move', 'openNetwork'];
