import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DiskFailure,
  type GuestEvent,
  type PrimaryDriver,
  watchGuest,
} from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { GannetError, TermRecord } from '@gannet/contract';
import type { Found } from '../arbitration/on-attach.js';
import { lacking } from '../arbitration/records.js';
import type { History } from '../history.js';
import { ownFailure, yields } from '../refusals.js';
import type { TermStore } from '../terms/term-store.js';
import type { PrimaryRoleEvent, PrimaryRoleState } from './primary-state.js';

/**
 * - `end`: nobody takes over
 * - `yield`: the guest is stopped, and the secondary takes over
 * - `wake`: the guest is woken, and stays protected
 */
export type Fate = 'end' | 'yield' | 'wake';

/** `onGuestCrash` of the configuration. */
export type CrashPolicy = 'fail-over' | 'end';

const FATES: Readonly<Record<GuestEvent['kind'], Readonly<Record<CrashPolicy, Fate>>>> = {
  ended: { 'fail-over': 'end', end: 'end' },
  crashed: { 'fail-over': 'yield', end: 'end' },
  asleep: { 'fail-over': 'wake', end: 'wake' },
};

export function fateOf({ kind }: GuestEvent, policy: CrashPolicy): Fate {
  return FATES[kind][policy];
}

/**
 * Run states of a guest that cannot go on by itself (QEMU qapi/run-state.json). No way leads from
 * them to `colo`: the next checkpoint would abort QEMU.
 */
const STANDSTILL: ReadonlySet<string> = new Set([
  ...['io-error', 'internal-error', 'guest-panicked', 'watchdog'],
]);

/** Whoever has begun to let the secondary go can't ask it to take over. */
const IN_STEP: ReadonlySet<TermRecord['word']> = new Set(['protected', 'none']);

/** Where the guest stops and nobody takes over; `protected`: with a record that is not in step. */
const WITHOUT_HELP: ReadonlySet<string> = new Set(['protecting', 'letting-go', 'protected']);

const RETRY_MS = 200;

export interface GuestFateOptions {
  readonly history: Pick<History, 'add'>;
  readonly terms: Pick<TermStore, 'record' | 'insist'>;
  readonly config: () => {
    readonly vm: string;
    readonly primary: { readonly onGuestCrash: CrashPolicy };
  };
  readonly state: () => PrimaryRoleState;
  readonly step: (event: PrimaryRoleEvent) => void;
  readonly driver: () => PrimaryDriver | undefined;
  /** Tells the QEMU that is connected from the next one; undefined if it is not known. */
  readonly process: () => Promise<string | undefined>;
  /** The protection that is under way fails. */
  readonly cancelProtect: (error: GannetError) => void;
  /** Resolves when neither protect nor letting go is under way. */
  readonly idle: () => Promise<void>;
  /** Resolves when it is on stable storage that the replica is outdated. */
  readonly outdate: () => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

type Lacks = TermRecord['lacks'];

/**
 * What becomes of a protected guest that can't go on here, or is not to go on anywhere: its own
 * disk fails, it panics, it is shut down, it falls asleep.
 */
export class GuestFate {
  #halting: Promise<void> | undefined;
  /** How often the guest was continued. */
  #resumes = 0;
  /** What was said of disks whose reads fail. */
  readonly #said = new Set<string>();
  /** What the term file is about to say of the own disk. */
  #unwritten: { readonly lacks: Lacks } | undefined;
  #qmp: QmpClient | undefined;
  /** In a QEMU that is in no COLO. */
  #isStoppedAgain = false;
  /** Why it was stopped here, though its disk may have all that it wrote. */
  #stopped: string | undefined;
  /** An operator takes the disk as it is, right now. */
  #isAccepted = false;

  constructor(private readonly options: GuestFateOptions) {}

  /** Once for each connection. */
  attend(qmp: QmpClient): void {
    this.#qmp = qmp;
    watchGuest(qmp, (event) => this.#onGuest(qmp, event));
    qmp.onEvent('RESUME', () => {
      const { phase } = this.options.state();
      this.#resumes++;
      this.#stopped = undefined;
      if (phase === 'yielding' || phase === 'ended') this.options.step({ kind: 'guest-runs' });
      if (phase === 'yielding' || this.#mustStandStill) this.#halt();
    });
  }

  /** Why the guest stands still, or is about to, on its own disk. */
  get standstill(): string | undefined {
    return this.#isAccepted ? undefined : (this.#lacks?.reason ?? this.#stopped);
  }

  /** QEMU has ended. The next one does not know what its guest was told. */
  hasEnded(): void {
    if (this.#lacks?.hasReplica === false) void this.#remember(null);
    this.#stopped = undefined;
    this.#isStoppedAgain = false;
    this.options.step({ kind: 'guest-stopped' });
  }

  /** Synchronous with QEMU's event: each moment counts in which the guest could read old data. */
  diskFailed({ device, effect, message }: DiskFailure): void {
    const { history } = this.options;
    const { phase } = this.options.state();
    const isNews = !this.#said.has(`${device} ${effect}`);
    this.#said.add(`${device} ${effect}`);
    if (effect === 'read-elsewhere') {
      if (isNews) history.add('disk-failed', { device, reason: message, effect });
      return;
    }
    const isRelevant = ['protected', 'protecting', 'yielding', 'letting-go'].includes(phase);
    const isLacking = effect === 'lacks-write' && isRelevant && this.#lacks === null;
    // While the guest is being stopped, too, the replica gets what is flushed.
    const hasReplica = this.#mayAskSecondary || phase === 'yielding';
    if (this.#mayAskSecondary) this.#yield(message);
    else if (WITHOUT_HELP.has(phase)) this.#stopUnyielding(message);
    else if (effect === 'stopped') this.#stopped = message;
    if (isLacking) void this.#note(message, hasReplica);
    if (isNews) history.add('disk-failed', { device, reason: message, effect });
  }

  /**
   * A QEMU that this daemon has just found, before anybody hears of it: why its guest must not run,
   * though the secondary's may.
   *
   * In COLO, a guest that stands still was stopped by the daemon before this one, or can't go on.
   * Elsewhere, a guest may run on a disk that lacks what nobody has, if it was started again: it
   * does not know what the one before it was told. The same one is stopped, whoever continued it.
   *
   * @returns undefined if it may run, or waits for others
   * @throws QmpError
   */
  async failureIn(qmp: QmpClient, found: Found): Promise<string | undefined> {
    const { word, movedTo } = this.options.terms.record;
    const lacks = this.#lacks;
    if (lacks?.hasReplica === true) return lacks.reason;
    const isInColo = found === 'protected' || found === 'broken';
    // Handed over, and nobody has said yet that the secondary does not go on.
    const isOffered = movedTo !== undefined && (word === 'protected' || word === 'leaving');
    if (isOffered && isInColo) return `it moves to ${movedTo}`;
    const { status } = await qmp.execute('query-status');
    if (!isInColo) {
      this.#stopped = STANDSTILL.has(status)
        ? `QEMU was found with run state ${status}`
        : undefined;
      if (!lacks) return undefined;
      if (await this.#wasRestarted(lacks, found, status)) void this.#remember(null);
      else if (status === 'running') await qmp.execute('stop');
      return undefined;
    }
    if (!IN_STEP.has(word)) return undefined;
    // While COLO runs, an operator may have paused it, until the next checkpoint.
    const isStill = STANDSTILL.has(status) || (found === 'broken' && status === 'paused');
    return isStill ? `QEMU was found with run state ${status}` : undefined;
  }

  /**
   * The guest that was found is stopped, and not held until the secondary has yielded.
   *
   * @param found whether it is in the QEMU that was protected
   * @returns whether it yields now; there may be a reason for more than that
   */
  yieldsAs(found: Found, reason: string): boolean {
    const { state, step, history } = this.options;
    step({ kind: 'guest-failed', reason });
    if (state().phase !== 'yielding') return false;
    this.#isStoppedAgain = found === 'idle' || found === 'ended';
    step({ kind: 'guest-runs' });
    this.#halt();
    history.add('yielding', { reason });
    return true;
  }

  /**
   * The guest, which was stopped after a last checkpoint, yields. Nothing of it is lost.
   *
   * @returns whether it does; not if something else has begun
   */
  handOver(reason: string): boolean {
    this.options.step({ kind: 'guest-failed', reason });
    return this.haltAgain();
  }

  /** What was to continue it has failed. @returns whether it has to stand still */
  haltAgain(): boolean {
    const isYielding = this.options.state().phase === 'yielding';
    if (isYielding) this.#halt();
    return isYielding;
  }

  /**
   * Resolves when the guest is not being stopped any more: a stop that comes after the end of COLO
   * would be for good.
   */
  async halted(): Promise<void> {
    await this.#halting;
  }

  /**
   * The secondary is let go, and the end of COLO has continued the guest: stops it again on a disk
   * that lacks writes. Else the guest may run: continues it where the end of COLO did not.
   *
   * @throws QmpError
   */
  async release(): Promise<void> {
    if (this.#lacks && !this.#isAccepted) return this.options.driver()?.halt();
    if (!this.#isStoppedAgain) return;
    await this.#qmp?.execute('cont');
    this.#isStoppedAgain = false;
  }

  /** @throws GannetError GANNET_REFUSED if the guest would go on where it must not */
  expectForce(force: boolean): void {
    const state = this.options.state();
    if (state.phase === 'yielding' && !force) throw yields(this.options.config().vm, state.reason);
  }

  /** With force, an operator takes the disk as it is; for good only if `work` succeeds. */
  async accepting<T>(force: boolean, work: () => Promise<T>): Promise<T> {
    if (!force || !this.#lacks) return work();
    this.#isAccepted = true;
    try {
      const result = await work();
      await this.#remember(null);
      return result;
    } finally {
      this.#isAccepted = false;
    }
  }

  /**
   * COLO continues a guest that was stopped, also on a disk that lacks writes.
   *
   * @throws GannetError GANNET_STAGE_FAILED
   */
  expectSound(): void {
    if (this.#lacks) throw ownFailure(this.options.config().vm, this.#lacks.reason);
  }

  /** The own disk lacks writes that the guest was told are done; whether the secondary has them. */
  get #lacks(): Lacks {
    return (this.#unwritten ?? this.options.terms.record).lacks;
  }

  /** Nobody has what the own disk lacks, and nothing else keeps the guest where it is. */
  get #mustStandStill(): boolean {
    const { phase } = this.options.state();
    const isOwn = phase === 'unprotected' || phase === 'alone';
    return isOwn && this.#lacks?.hasReplica === false && !this.#isAccepted;
  }

  /** The QEMU that was found is not the one whose guest was told so. */
  async #wasRestarted(lacks: NonNullable<Lacks>, found: Found, status: string): Promise<boolean> {
    if (found === 'ended') return false;
    const process = await this.options.process();
    if (lacks.qemu !== null && process !== undefined) return lacks.qemu !== process;
    return status === 'running' || status === 'prelaunch';
  }

  /**
   * What can't be written yet counts all the same, and is tried again.
   *
   * @returns resolves when it was tried
   */
  #remember(lacks: Lacks): Promise<void> {
    const { terms, onTrouble } = this.options;
    const unwritten = { lacks };
    this.#unwritten = unwritten;
    const { tried, done } = terms.insist('lacks', (own) => lacking(own, lacks), onTrouble);
    const forget = (): void => {
      if (this.#unwritten === unwritten) this.#unwritten = undefined;
    };
    // At the end of this daemon, nothing helps any more.
    done.then(forget, () => undefined);
    return tried;
  }

  /** Whose guest it was is added as soon as it is known. */
  async #note(reason: string, hasReplica: boolean): Promise<void> {
    const lacks = { reason, hasReplica, qemu: null };
    this.#unwritten = { lacks };
    const unwritten = this.#unwritten;
    const qemu = (await this.options.process()) ?? null;
    if (this.#unwritten === unwritten) await this.#remember({ ...lacks, qemu });
  }

  #onGuest(qmp: QmpClient, event: GuestEvent): void {
    const { phase } = this.options.state();
    const { vm, primary } = this.options.config();
    const fate = fateOf(event, primary.onGuestCrash);
    if (phase === 'protecting' && fate !== 'wake') {
      this.options.cancelProtect(ownFailure(vm, event.reason));
    }
    if (phase !== 'protected' && phase !== 'letting-go') return;
    switch (fate) {
      case 'end':
        return this.#end(event.reason);
      case 'yield':
        if (this.#mayAskSecondary) this.#yield(event.reason);
        return;
      case 'wake':
        qmp
          .execute('system_wakeup')
          .then(() => this.options.history.add('guest-woken', {}))
          .catch(this.options.onTrouble);
    }
  }

  get #mayAskSecondary(): boolean {
    const { state, terms } = this.options;
    return state().phase === 'protected' && IN_STEP.has(terms.record.word);
  }

  #yield(reason: string): void {
    const { step, history } = this.options;
    step({ kind: 'guest-failed', reason });
    if (this.options.state().phase !== 'yielding') return;
    this.#halt();
    history.add('yielding', { reason });
  }

  #halt(): void {
    this.#halting ??= this.#keepHalting().finally(() => (this.#halting = undefined));
  }

  async #keepHalting(): Promise<void> {
    const { driver, state, step, onTrouble } = this.options;
    const isWanted = (): boolean => {
      const now = state();
      return now.phase === 'yielding' ? !now.isStopped : this.#mustStandStill;
    };
    for (let failures = 0; isWanted();) {
      try {
        const before = this.#resumes;
        await driver()?.halt();
        if (this.#resumes === before) return step({ kind: 'guest-stopped' });
      } catch (error) {
        // One that ends right now fails once.
        if (++failures === 2) onTrouble(error);
        await sleep(RETRY_MS);
      }
    }
  }

  /** The replica could not take over: all that helps is that the guest reads nothing old. */
  #stopUnyielding(reason: string): void {
    const { cancelProtect, config, idle, driver, onTrouble } = this.options;
    const error = ownFailure(config().vm, reason);
    // Nobody continues it meanwhile.
    this.#stopped = reason;
    const halt = async (): Promise<void> => {
      await driver()?.halt();
      this.#stopped = reason;
    };
    cancelProtect(error);
    halt()
      .catch(() => undefined)
      // What ends then may have continued the guest.
      .then(idle)
      .then(halt)
      .catch(onTrouble);
    onTrouble(error);
  }

  #end(reason: string): void {
    const { step, history, outdate, driver, onTrouble } = this.options;
    step({ kind: 'guest-ended', reason });
    history.add('guest-ended', { reason });
    outdate()
      // A QEMU with -no-shutdown stays. One that ends answers no more, and nothing is left to do.
      .then(() =>
        driver()
          ?.runAlone()
          .catch(() => undefined),
      )
      .catch(onTrouble);
  }
}
