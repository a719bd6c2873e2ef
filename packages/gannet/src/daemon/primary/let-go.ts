import { setTimeout as sleep } from 'node:timers/promises';
import type { GannetError, TermRecord } from '@gannet/contract';
import { compare } from '../arbitration/compare.js';
import { letGoStep, type LetGoView } from '../arbitration/may-let-go.js';
import { alone, leaving, type NextRecord } from '../arbitration/records.js';
import { type FenceConfig, fenceGone, notFenced, runFence } from '../fence.js';
import { notTold, secondCopy, unfitToLetGo } from '../refusals.js';
import type { History } from '../history.js';
import type { LivenessState } from '../peer/peer-liveness.js';
import type { TermStore } from '../terms/term-store.js';
import { type QemuLiveness, stillHung } from '../vm/qemu-liveness.js';
import type { PrimaryRoleEvent } from './primary-state.js';

export interface LetGoOptions {
  readonly config: () => {
    readonly vm: string;
    readonly fence?: FenceConfig | undefined;
    readonly peer: { readonly lowMs: number; readonly highMs: number };
  };
  readonly history: Pick<History, 'add' | 'operations'>;
  readonly terms: TermStore;
  /** What the secondary said last, and whether it is heard. */
  readonly peer: () => {
    readonly liveness: LivenessState;
    readonly record: TermRecord | undefined;
  };
  /** Of the primary's own QEMU, freed of its links to the secondary if it hangs. */
  readonly liveness: () => Promise<QemuLiveness>;
  /** Why the guest stands still on its own disk, which may lack what the secondary has. */
  readonly standstill: () => string | undefined;
  readonly runAlone: () => Promise<void>;
  /** Why QEMU can't be asked. */
  readonly unreachable: () => GannetError;
  /** For the role's table of states. */
  readonly step: (event: PrimaryRoleEvent) => void;
}

export interface LetGoWish {
  readonly to: 'alone' | 'unprotected';
  readonly reason: string;
  /**
   * An operator takes the responsibility: nothing has to be proven, and a running fence is stopped.
   */
  readonly force: boolean;
  /** If the secondary can't be told, refuse, instead of fencing it. */
  readonly mustTell: boolean;
  /** The guest stands still until this is done. */
  readonly isHeld?: boolean;
  /** The protection must not begin again by itself. */
  readonly isDetached?: boolean;
}

/**
 * The primary lets its secondary go, so that no write of its guest waits for a dead host.
 *
 * What has to be done first, and in which order, is decided in may-let-go.ts: a new term on disk,
 * the secondary's answer, a fence. But the own guest must be known to live; if it has just died,
 * that looks the same from its links.
 */
export class LetGo {
  #underWay: Promise<void> | undefined;
  #forced = new AbortController();
  #onHeard: () => void = () => undefined;

  constructor(private readonly options: LetGoOptions) {}

  get isIdle(): boolean {
    return this.#underWay === undefined;
  }

  /** Resolves, whatever came of it, when nothing is under way. */
  async idle(): Promise<void> {
    await this.#underWay?.catch(() => undefined);
  }

  /** The secondary has said something, or what it said is on the disk. */
  heard(): void {
    this.#onHeard();
  }

  /**
   * One at a time: whoever asks meanwhile waits for its end, and may force it.
   *
   * @throws GannetError GANNET_REFUSED if the fence failed, the secondary could not be told or the
   *   own disk lacks what it may have, GANNET_TIMEOUT if QEMU hangs though its links are cut,
   *   NOT_READY if there is none that could be asked, GANNET_CONFIG if the term file can't be
   *   written; DriverError
   */
  ask(wish: LetGoWish): Promise<void> {
    const { operations } = this.options.history;
    this.#underWay ??= operations
      .join(() => this.#carryOut(wish))
      .finally(() => {
        this.#underWay = undefined;
        this.#forced = new AbortController();
      });
    if (wish.force) this.#forced.abort();
    return this.#underWay;
  }

  async #carryOut(wish: LetGoWish): Promise<void> {
    const { step, history } = this.options;
    step({ kind: 'let-go', to: wish.to, reason: wish.reason });
    try {
      // Not at once: this wish may be forced.
      await Promise.resolve();
      await this.#run(wish);
      // Whoever could not be told may be heard by now.
      await this.#awaitYield(this.options.config().peer.lowMs);
      step({ kind: 'let-go-done' });
      history.add('alone', { reason: wish.reason, secondaryKnows: this.#hasYielded });
    } catch (error) {
      step({ kind: 'let-go-failed' });
      throw error;
    }
  }

  async #run({ mustTell, isHeld = false, isDetached = false }: LetGoWish): Promise<void> {
    const { config, terms, peer, runAlone } = this.options;
    const { vm, fence } = config();
    const { lowMs, highMs } = config().peer;
    let fenceView: LetGoView['fence'] = fence ? 'ready' : 'none';
    let words = '';
    let wasTold = false;
    await this.#expectResponding();
    this.#expectFit();
    for (;;) {
      const { liveness } = peer();
      const step = letGoStep({
        ...{ own: terms.record, hasYielded: this.#hasYielded, isHeard: liveness === 'up' },
        evidence: fence?.evidence,
        ...{ wasTold, fence: fenceView, isForced: this.#isForced(), mustTell, isHeld },
      });
      switch (step.kind) {
        case 'raise':
          await this.#write((own) => leaving(own, peer().record));
          break;
        case 'tell':
          // A daemon that has just begun has not had the time to connect.
          await this.#awaitYield(liveness === 'unknown' ? highMs : lowMs);
          if (!this.#hasYielded) await this.#expectResponding();
          wasTold = true;
          break;
        case 'fence':
          ({ fence: fenceView, words } = await this.#fence(vm, fence));
          break;
        case 'go':
          await this.#write((own) => ({
            ...alone(own, step.evidence, peer().record),
            ...(isDetached ? { isDetached } : {}),
          }));
          return runAlone();
        case 'refuse':
          if (step.why === 'outdated') throw secondCopy(vm);
          if (step.why === 'promised') throw fenceGone(vm);
          throw step.why === 'not-fenced' ? notFenced(vm, words) : notTold(vm);
      }
    }
  }

  /** @throws GannetError GANNET_REFUSED if the secondary has taken over by now */
  async #write(change: (own: TermRecord) => NextRecord): Promise<void> {
    const { terms, config } = this.options;
    await terms.update((own) => {
      if (own.word === 'outdated') throw secondCopy(config().vm);
      return change(own);
    });
  }

  async #fence(
    vm: string,
    fence: FenceConfig | undefined,
  ): Promise<{ fence: LetGoView['fence']; words: string }> {
    if (!fence) return { fence: 'none', words: '' };
    const { signal } = this.#forced;
    const run = { vm, target: 'secondary', signal } as const;
    await this.#yieldWithin(fence.delayMs);
    if (this.#hasYielded || signal.aborted) return { fence: 'ready', words: '' };
    await this.#expectResponding();
    this.#expectFit();
    const { succeeded, words, wasStopped } = await runFence(fence, run);
    if (!wasStopped) this.options.history.add('fence', { target: 'secondary', succeeded, words });
    return { fence: succeeded ? 'succeeded' : 'failed', words };
  }

  /** The secondary has said, and written, that it can't take over. */
  get #hasYielded(): boolean {
    const { terms, peer } = this.options;
    const { record } = peer();
    return record !== undefined && compare('primary', terms.record, record) === 'yielded';
  }

  /** Whoever is known to be silent is not waited for. */
  async #awaitYield(patienceMs: number): Promise<void> {
    if (this.options.peer().liveness !== 'lost') await this.#yieldWithin(patienceMs);
  }

  async #yieldWithin(patienceMs: number): Promise<void> {
    if (this.#hasYielded) return;
    const stop = new AbortController();
    const heard = new Promise<void>((resolve) => {
      this.#onHeard = () => {
        if (this.#hasYielded || this.options.terms.record.word === 'outdated') resolve();
      };
    });
    const forced = this.#forced.signal;
    const signal = forced.aborted ? stop.signal : AbortSignal.any([stop.signal, forced]);
    await Promise.race([heard, sleep(patienceMs, undefined, { signal }).catch(() => undefined)]);
    this.#onHeard = () => undefined;
    stop.abort();
  }

  async #expectResponding(): Promise<void> {
    const { liveness, unreachable, config } = this.options;
    const { vm, peer } = config();
    const found = await liveness();
    if (found === 'hung') throw stillHung(vm, peer.lowMs);
    if (found === 'unreachable') throw unreachable();
  }

  /** A primary whose own disk has failed would give up the only copy that has everything. */
  #expectFit(): void {
    const reason = this.options.standstill();
    if (reason !== undefined && !this.#isForced())
      throw unfitToLetGo(this.options.config().vm, reason);
  }

  /** A method: it may become true while something is awaited. */
  #isForced(): boolean {
    return this.#forced.signal.aborted;
  }
}
