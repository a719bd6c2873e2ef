import {
  type AutomaticView,
  describeError,
  type EventDetails,
  type ProtectionMode,
  type Status,
  WAIT_TEXTS,
} from '@gannet/contract';
import {
  begun,
  BY_STATE,
  ended,
  NO_ATTEMPTS,
  type ProtectionStep,
  protectionStep,
  type ProtectionView,
  type Readiness,
} from '../arbitration/may-protect.js';
import { readinessOf } from './scout.js';

/** Looks for a new secondary while the own peer link leads to none. */
export interface Lookout {
  readonly readiness: Readiness;
  close(): Promise<void>;
}

export interface AutoProtectOptions {
  readonly policy: () => ProtectionMode;
  /** A command is under way, or the daemon does something by itself. */
  readonly isBusy: () => boolean;
  /** Of a survivor; undefined if its configuration leads to no other host. */
  readonly lookOut: () => Lookout | undefined;
  readonly begin: (how: 'protect' | 'reprotect') => Promise<unknown>;
  /** It has to wait, for another reason than before. */
  readonly onWait: (details: EventDetails['protection-waits']) => void;
  /** A clock that only goes forward, in ms. */
  readonly now?: () => number;
}

/**
 * `protection: automatic`: begins to protect the VM as soon as may-protect.ts says so, and
 * remembers what came of it. It has no timer: whoever judges the VM has it consider the VM, too.
 */
export class AutoProtect {
  readonly #now: () => number;
  #attempts = NO_ATTEMPTS;
  #failure: string | undefined;
  #isRunning = false;
  #step: ProtectionStep | undefined;
  #lookout: Lookout | undefined;

  constructor(private readonly options: AutoProtectOptions) {
    this.#now = options.now ?? (() => performance.now());
  }

  /** For the status; undefined with `protection: manual`, and on a side that has no VM. */
  get view(): AutomaticView | undefined {
    const step = this.#step;
    if (!step) return undefined;
    const { failures } = this.#attempts;
    const past = { failures, ...(this.#failure === undefined ? {} : { failure: this.#failure }) };
    if (step.kind !== 'wait') return { why: null, words: '', ...past };
    return { why: step.why, words: WAIT_TEXTS[step.why], ...this.#until(step), ...past };
  }

  /** The VM has been judged: something may have changed. */
  consider(status: Status): void {
    if (this.#isRunning) return;
    const isOn = this.options.policy() === 'automatic' && hasVmToProtect(status);
    const step = isOn ? protectionStep(this.#viewOf(status)) : undefined;
    const before = this.#step;
    this.#step = step;
    if (!isOn || BY_STATE[status.state] !== 'reprotect') this.#forgetLookout();
    if (step?.kind === 'begin') void this.#begin(step.how);
    if (step?.kind !== 'wait' || (before?.kind === 'wait' && before.why === step.why)) return;
    // What is under way is in the events already.
    if (step.why === 'busy') return;
    this.options.onWait({ why: step.why, ...this.#until(step) });
  }

  close(): void {
    this.#forgetLookout();
  }

  #viewOf(status: Status): ProtectionView {
    const { state, record, peer } = status;
    const vm = status.role === 'primary' ? status.primaryVm : status.secondaryVm;
    const isSurvivor = BY_STATE[state] === 'reprotect';
    if (isSurvivor) this.#lookout ??= this.options.lookOut();
    const lookout = this.#lookout?.readiness;
    return {
      ...{ state, hasVm: vm === 'ready', isDetached: record.isDetached === true },
      isBusy: this.options.isBusy(),
      hasWay: !isSurvivor || lookout !== undefined,
      secondary: isSurvivor ? (lookout ?? 'silent') : readinessOf(peer.pulse, peer.status),
      ...{ attempts: this.#attempts, nowMs: this.#now() },
    };
  }

  async #begin(how: 'protect' | 'reprotect'): Promise<void> {
    this.#isRunning = true;
    this.#attempts = begun(this.#attempts, this.#now());
    this.#forgetLookout();
    try {
      await this.options.begin(how);
      this.#failure = undefined;
      this.#attempts = ended(this.#attempts, false, this.#now());
    } catch (error) {
      const { message, remedy } = describeError(error);
      this.#failure = `${message.replace(/\.$/, '')}. ${remedy}`;
      this.#attempts = ended(this.#attempts, true, this.#now());
    } finally {
      this.#isRunning = false;
    }
  }

  #forgetLookout(): void {
    this.#lookout?.close().catch(() => undefined);
    this.#lookout = undefined;
  }

  #until({ untilMs }: { readonly untilMs?: number }): { until?: string } {
    if (untilMs === undefined) return {};
    return { until: new Date(Date.now() + untilMs - this.#now()).toISOString() };
  }
}

/** A secondary has one only once it has taken over. */
function hasVmToProtect({ role, state }: Status): boolean {
  return role === 'primary' || BY_STATE[state] !== 'none';
}
