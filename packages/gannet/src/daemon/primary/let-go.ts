import type { GannetError } from '@gannet/contract';
import { type FenceConfig, notFenced, runFence } from '../fence.js';
import { notTold } from '../refusals.js';
import type { History } from '../history.js';
import { type QemuLiveness, stillHung } from '../vm/qemu-liveness.js';
import type { PrimaryRoleEvent } from './primary-state.js';

export interface LetGoOptions {
  readonly config: () => {
    readonly vm: string;
    readonly fence?: FenceConfig | undefined;
    readonly peer: { readonly lowMs: number };
  };
  readonly history: Pick<History, 'add'>;
  /** Of the primary's own QEMU, freed of its links to the secondary if it hangs. */
  readonly liveness: () => Promise<QemuLiveness>;
  /** @returns whether the secondary has answered that it can't take over any more */
  readonly tell: () => Promise<boolean>;
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
}

/**
 * The primary lets its secondary go, so that no write of its guest waits for a dead host.
 *
 * The secondary is told first: once the guest runs on, the replica is outdated and must not take
 * over. If it can't be told, it is fenced: it could be taking over. But the own guest must be known
 * to live; if it has just died, that looks the same from its links.
 */
export class LetGo {
  #underWay: Promise<void> | undefined;
  #forced = new AbortController();

  constructor(private readonly options: LetGoOptions) {}

  /** Resolves, whatever came of it, when nothing is under way. */
  async idle(): Promise<void> {
    await this.#underWay?.catch(() => undefined);
  }

  /**
   * One at a time: whoever asks meanwhile waits for its end, and may force it.
   *
   * @throws GannetError GANNET_REFUSED if the fence failed or the secondary could not be told,
   *   GANNET_TIMEOUT if QEMU hangs though its links are cut, NOT_READY if there is none that could
   *   be asked; DriverError
   */
  ask(wish: LetGoWish): Promise<void> {
    this.#underWay ??= this.#carryOut(wish).finally(() => {
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
      const secondaryKnows = await this.#run(wish.mustTell);
      step({ kind: 'let-go-done' });
      history.add('alone', { reason: wish.reason, secondaryKnows });
    } catch (error) {
      step({ kind: 'let-go-failed' });
      throw error;
    }
  }

  /** @returns whether the secondary has answered that it can't take over any more */
  async #run(mustTell: boolean): Promise<boolean> {
    const { config, history, tell, runAlone } = this.options;
    const { vm, fence } = config();
    await this.#expectResponding();
    let isTold = await tell();
    if (!isTold) await this.#expectResponding();
    if (!isTold && mustTell && !this.#isForced()) throw notTold(vm);
    if (!isTold && fence && !this.#isForced()) {
      const run = { vm, target: 'secondary', signal: this.#forced.signal } as const;
      const { succeeded, words } = await runFence(fence, run);
      history.add('fence', { target: 'secondary', succeeded, words });
      if (!succeeded && !this.#isForced()) throw notFenced(vm, words);
    }
    await runAlone();
    isTold ||= await tell();
    return isTold;
  }

  async #expectResponding(): Promise<void> {
    const { liveness, unreachable, config } = this.options;
    const { vm, peer } = config();
    const found = await liveness();
    if (found === 'hung') throw stillHung(vm, peer.lowMs);
    if (found === 'unreachable') throw unreachable();
  }

  /** A method: it may become true while something is awaited. */
  #isForced(): boolean {
    return this.#forced.signal.aborted;
  }
}
