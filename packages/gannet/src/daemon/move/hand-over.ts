import { setTimeout as sleep } from 'node:timers/promises';
import {
  describeError,
  hasTakenOver,
  type MoveReport,
  type PeerStatus,
  type PrimaryState,
  type Reporter,
} from '@gannet/contract';
import { handedOver, takenBack } from '../arbitration/records.js';
import { moveStep, type MoveStep } from '../arbitration/may-move.js';
import type { History } from '../history.js';
import type { PeerLink } from '../peer/peer-link.js';
import * as refusals from '../refusals.js';
import type { TermStore } from '../terms/term-store.js';

const POLL_MS = 20;

/** Of the primary's driver; see CheckpointEngine. */
export interface HandOverEngine {
  readonly handOver: (() => Promise<void>) | undefined;
  takeBack(): Promise<void>;
}

export interface HandOverOptions {
  readonly config: () => {
    readonly vm: string;
    readonly primary: { readonly stageTimeoutMs: number };
  };
  readonly history: Pick<History, 'add' | 'operations'>;
  readonly terms: TermStore;
  readonly link: Pick<PeerLink, 'state' | 'peer' | 'beatNow'>;
  /** As the status shows it: a secondary that is being let go counts as protecting. */
  readonly state: () => PrimaryState;
  /** Neither protecting, nor letting its secondary go. */
  readonly isIdle: () => boolean;
  /** @throws GannetError GANNET_REFUSED unless the VM is protected, or is about to be taken over */
  readonly expectProtected: (what: string) => void;
  /** @throws GannetError GANNET_NOT_READY without a QEMU that can be asked */
  readonly driver: () => HandOverEngine;
  /**
   * The guest, which is stopped, yields to the secondary from now on.
   *
   * @returns whether it does; not if something else has begun
   */
  readonly yield: (reason: string) => boolean;
  /**
   * The guest runs on here once the secondary has said that it does not take over.
   *
   * @throws GannetError GANNET_REFUSED if it does not say so; the guest stays stopped
   */
  readonly goOn: (reason: string) => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * A planned move: the primary makes a last checkpoint after which its guest stays stopped, writes
 * that it has handed the VM over, and yields. The secondary, which has all that the guest was,
 * takes over on that word. It is decided when the secondary has written its claim to the VM:
 * before, this side goes on if the secondary says that it can't. Silence says nothing, so the guest
 * then waits.
 */
export class HandOver {
  #underWay: Promise<MoveReport> | undefined;
  #goingOn: Promise<void> | undefined;
  readonly #listeners = new Set<Reporter<'move'>>();
  readonly #closing = new AbortController();
  #beganMs: number | undefined;
  /** What was reported last of a take-back that failed. */
  #trouble = '';

  constructor(private readonly options: HandOverOptions) {}

  /**
   * Resolves when the guest runs on the secondary's host. Asking again does the rest.
   *
   * @throws GannetError GANNET_REFUSED if it can't be begun; the guest runs on
   * @throws GannetError GANNET_STAGE_FAILED if it was not moved; the guest runs on
   * @throws GannetError GANNET_TIMEOUT if nobody knows yet; the guest stands still
   */
  move(progress: Reporter<'move'>): Promise<MoveReport> {
    this.#listeners.add(progress);
    this.#underWay ??= this.#move().finally(() => (this.#underWay = undefined));
    return this.#underWay.finally(() => this.#listeners.delete(progress));
  }

  /** The secondary has said how it is. */
  hear(): void {
    const step = this.#step;
    if (step.kind !== 'take-back') return;
    this.#takeBack(step.why).catch((error: unknown) => {
      // Tried again at each beat.
      const { message } = describeError(error);
      if (message !== this.#trouble) this.options.onTrouble(error);
      this.#trouble = message;
    });
  }

  close(): void {
    this.#closing.abort();
  }

  get #step(): MoveStep {
    const { state, terms, link } = this.options;
    const peer = { liveness: link.state, status: link.peer?.status };
    return moveStep({ state: state(), own: terms.record, peer });
  }

  async #move(): Promise<MoveReport> {
    const { movedTo } = this.options.terms.record;
    const { kind } = this.#step;
    if (movedTo !== undefined && kind === 'moved') return { movedTo, stillMs: null };
    if (movedTo === undefined || kind === 'none') return this.#await(await this.#begin());
    return this.#await(movedTo);
  }

  /** @returns the host */
  async #begin(): Promise<string> {
    const { config, terms, link, history, state } = this.options;
    const { vm } = config();
    this.options.expectProtected('move');
    const engine = this.options.driver();
    const { handOver } = engine;
    if (!handOver) throw refusals.cannotMove(vm);
    if (state() !== 'protected' || !this.options.isIdle()) throw refusals.busy(vm, state());
    const to = hostOf(link, vm);
    // What can't be written shows before the guest is stopped.
    await terms.update((own) => own);
    this.#tell('last checkpoint');
    this.#beganMs = performance.now();
    try {
      await handOver();
    } catch (error) {
      throw refusals.notMoved(vm, describeError(error).message, error);
    }
    if (!(await this.#offer(to, engine))) {
      throw refusals.notMoved(vm, 'its secondary was lost, or let go, meanwhile');
    }
    history.add('move', { phase: 'handed-over', to });
    return to;
  }

  /** @returns whether the secondary may go on; if not, the guest runs on here */
  async #offer(to: string, engine: HandOverEngine): Promise<boolean> {
    const { terms, isIdle, state, onTrouble } = this.options;
    const mayOffer = (): boolean => state() === 'protected' && isIdle();
    try {
      await terms.update((own) =>
        own.word === 'protected' && mayOffer() ? handedOver(own, to) : undefined,
      );
      const isWritten = terms.record.movedTo !== undefined;
      if (isWritten && mayOffer() && this.options.yield(`it moves to ${to}`)) return true;
    } catch (error) {
      await engine.takeBack().catch(onTrouble);
      throw error;
    }
    terms.insist(
      'move',
      (own) => (own.movedTo === undefined ? undefined : takenBack(own)),
      onTrouble,
    );
    // Whoever lets the secondary go continues the guest, too.
    await engine.takeBack().catch(() => undefined);
    return false;
  }

  async #await(to: string): Promise<MoveReport> {
    const { config, history, link, state } = this.options;
    const { vm, primary } = config();
    this.#tell('take over');
    const deadlineMs = performance.now() + primary.stageTimeoutMs;
    while (performance.now() < deadlineMs && !this.#closing.signal.aborted) {
      const { kind } = this.#step;
      if (kind === 'moved' && hasTakenOver(link.peer?.status.state)) return this.#done(to);
      if (kind === 'none' && this.options.isIdle()) {
        history.add('move', { phase: 'undone', to });
        throw refusals.notMoved(vm, `the secondary could not go on; it is ${state()} now`);
      }
      await sleep(POLL_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
    if (this.#step.kind === 'moved') throw refusals.claimed(vm, to);
    await this.#takeBack('the secondary has not taken over in time').catch((error: unknown) => {
      throw refusals.stuck(vm, to, error);
    });
    history.add('move', { phase: 'undone', to });
    throw refusals.notMoved(vm, 'the secondary has not taken over in time');
  }

  #done(movedTo: string): MoveReport {
    const began = this.#beganMs;
    const stillMs = began === undefined ? null : Math.round(performance.now() - began);
    this.options.history.add('move', {
      ...{ phase: 'done', to: movedTo },
      ...(stillMs === null ? {} : { stillMs }),
    });
    return { movedTo, stillMs };
  }

  /** In turn: a second wish would be part of the first. */
  #takeBack(why: string): Promise<void> {
    this.#goingOn ??= this.options.goOn(why).finally(() => (this.#goingOn = undefined));
    return this.#goingOn;
  }

  #tell(stage: Parameters<Reporter<'move'>>[0]['stage']): void {
    for (const listener of this.#listeners) listener({ stage });
  }
}

/** @throws GannetError GANNET_REFUSED unless the secondary could take over now */
function hostOf({ state, peer }: Pick<PeerLink, 'state' | 'peer'>, vm: string): string {
  const status: PeerStatus | undefined = state === 'up' ? peer?.status : undefined;
  const isReady = status?.state === 'protected' && status.link === 'whole' && status.vm === 'ready';
  if (!isReady || status.mayFailOver === false) throw refusals.nobodyToMoveTo(vm);
  return status.host ?? 'the secondary host';
}
