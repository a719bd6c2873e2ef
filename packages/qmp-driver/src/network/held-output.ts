/**
 * The network cards of a VM whose checkpoints an engine other than COLO makes. What the primary's
 * guest sends is held, in one of two ways:
 *
 *   compared   goes when the secondary's guest has sent the same, or at the next checkpoint
 *   buffered   goes at the next checkpoint. The secondary's guest gets no packets
 *
 * The order of calls is: prepare() of the secondary, connect() of the primary, the first
 * checkpoint, join(), another checkpoint; release() in each checkpoint while the primary's guest
 * stands still, and committed() while the secondary's does. At the end leave(), or open() when the
 * secondary takes over.
 */
import { rm } from 'node:fs/promises';
import type { QmpClient } from 'qemu-qmp-client';
import { Deadline } from '../deadline.js';
import { NetworkError, step } from '../errors.js';
import { CompareNotices } from './compare-notices.js';
import {
  addChardev,
  addObject,
  chardevsOf,
  type ComparedCard,
  type NetworkContext,
  objectsOf,
  removeAll,
} from './compared-card.js';
import { connectNetwork, joinNetwork, leaveNetwork } from './primary-network.js';
import { openNetwork, prepareNetwork } from './secondary-network.js';

/** In microseconds, the most that filter-buffer takes: it lets packets go after 71 minutes. */
const LONGEST_INTERVAL_US = 0xffff_ffff;

/** What holds the packets of the primary's guest. `release` is the engine's port. */
export interface HeldOutput {
  /** Makes what is needed. Packets still go straight out. */
  connect(): Promise<void>;
  /** From now on they are held. */
  join(): Promise<void>;
  /** Lets go what was held so far. */
  release(): Promise<void>;
  /** Lets everything go, and removes what was added. Harmless when there is nothing. */
  leave(): Promise<void>;
}

/** Options of both ways. */
export interface HeldOutputOptions {
  readonly cards: readonly ComparedCard[];
  /** For one QMP command. Default 10 s. */
  readonly commandTimeoutMs?: number;
  /** For one call. Default 30 s. */
  readonly stepTimeoutMs?: number;
}

/** Options of ComparedOutput. */
export interface ComparedOutputOptions extends HeldOutputOptions {
  /** Outputs differ: make a checkpoint, or the packets wait for the next one. */
  readonly onDiffer: () => void;
}

/** Contexts for steps at the network cards of one VM. */
class CardSteps {
  readonly #options: HeldOutputOptions;

  constructor(
    private readonly qmp: QmpClient,
    options: HeldOutputOptions,
  ) {
    this.#options = options;
  }

  get cards(): readonly ComparedCard[] {
    return this.#options.cards;
  }

  get commandTimeoutMs(): number {
    return this.#options.commandTimeoutMs ?? 10_000;
  }

  context(): NetworkContext {
    const deadline = new Deadline('leading packets', {
      timeoutMs: this.#options.stepTimeoutMs ?? 30_000,
    });
    return { qmp: this.qmp, deadline, commandTimeoutMs: this.commandTimeoutMs };
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` with QEMU's words */
  async execute(
    { qmp, deadline, commandTimeoutMs }: NetworkContext,
    what: string,
    command: string,
    args: object = {},
  ): Promise<void> {
    await step(
      () => qmp.executeRaw(command, args, deadline.options(commandTimeoutMs)),
      (words, cause) => {
        const message = `the packets of the guest: cannot ${what}: ${words}`;
        const remedy = 'See whether QEMU still answers.';
        return new NetworkError('DRIVER_NETWORK_STUCK', message, remedy, { cause });
      },
    );
  }
}

/** With colo-compare. Each card needs a `noticesPath`. */
export class ComparedOutput implements HeldOutput {
  readonly #steps: CardSteps;
  readonly #onDiffer: () => void;
  #notices: CompareNotices[] = [];

  constructor(qmp: QmpClient, { onDiffer, ...options }: ComparedOutputOptions) {
    this.#steps = new CardSteps(qmp, options);
    this.#onDiffer = onDiffer;
  }

  /** @throws NetworkError `DRIVER_NETWORK_REFUSED` and takes back what it did */
  async connect(): Promise<void> {
    const { cards, commandTimeoutMs: timeoutMs } = this.#steps;
    await this.leave();
    await connectNetwork(this.#steps.context(), cards);
    try {
      for (const { noticesPath: path = '' } of cards) {
        const options = { path, hasVnetHeader: true, timeoutMs, onDiffer: this.#onDiffer };
        this.#notices.push(await CompareNotices.connect(options));
      }
    } catch (error) {
      await this.leave().catch(() => undefined);
      throw error;
    }
  }

  /** @throws NetworkError */
  async join(): Promise<void> {
    await joinNetwork(this.#steps.context(), this.#steps.cards);
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` */
  async release(): Promise<void> {
    await Promise.all(this.#notices.map((notices) => notices.checkpointed()));
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` */
  async leave(): Promise<void> {
    for (const notices of this.#notices.splice(0)) notices.close();
    await leaveNetwork(this.#steps.context(), this.#steps.cards);
    for (const { noticesPath } of this.#steps.cards) {
      if (noticesPath !== undefined) await rm(noticesPath, { force: true });
    }
  }
}

/** With filter-buffer. Make a checkpoint at least every hour. */
export class BufferedOutput implements HeldOutput {
  readonly #steps: CardSteps;
  #isJoined = false;

  constructor(qmp: QmpClient, options: HeldOutputOptions) {
    this.#steps = new CardSteps(qmp, options);
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` */
  connect(): Promise<void> {
    return this.leave();
  }

  /** @throws NetworkError */
  async join(): Promise<void> {
    const context = this.#steps.context();
    for (const card of this.#steps.cards) {
      const { netdev } = card;
      const filter = { netdev, queue: 'rx', interval: LONGEST_INTERVAL_US };
      await addObject(context, card, 'filter-buffer', objectsOf(card).buffer, filter);
    }
    this.#isJoined = true;
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` */
  async release(): Promise<void> {
    if (!this.#isJoined) return;
    const context = this.#steps.context();
    for (const card of this.#steps.cards) {
      const path = `/objects/${objectsOf(card).buffer}`;
      for (const value of ['off', 'on']) {
        const args = { path, property: 'status', value };
        await this.#steps.execute(context, 'release them', 'qom-set', args);
      }
    }
  }

  /** @throws NetworkError `DRIVER_NETWORK_STUCK` */
  async leave(): Promise<void> {
    this.#isJoined = false;
    const context = this.#steps.context();
    for (const card of this.#steps.cards) {
      await removeAll(context, card, [objectsOf(card).buffer], []);
    }
  }
}

/** The secondary's network cards, for either way. */
export class WalledCards {
  readonly #steps: CardSteps;

  constructor(
    qmp: QmpClient,
    private readonly way: 'compared' | 'buffered',
    options: HeldOutputOptions,
  ) {
    this.#steps = new CardSteps(qmp, options);
  }

  /**
   * No packet passes between the guest and its back end.
   *
   * @throws NetworkError
   */
  async prepare(): Promise<void> {
    const context = this.#steps.context();
    if (this.way === 'compared') return prepareNetwork(context, this.#steps.cards);
    for (const card of this.#steps.cards) {
      const { wall } = objectsOf(card);
      const { nowhere } = chardevsOf(card);
      await removeAll(context, card, [wall], [nowhere]);
      await addChardev(context, card, nowhere, { type: 'null', data: {} });
      const filter = { netdev: card.netdev, queue: 'all', outdev: nowhere };
      await addObject(context, card, 'filter-redirector', wall, filter);
    }
  }

  /**
   * A checkpoint was applied, and its guest stands still: from here on it numbers the bytes of its
   * connections as the primary does.
   *
   * @throws NetworkError `DRIVER_NETWORK_STUCK`
   */
  async committed(): Promise<void> {
    if (this.way === 'buffered' || this.#steps.cards.length === 0) return;
    const context = this.#steps.context();
    await this.#steps.execute(context, 'forget their numbers', 'xen-colo-do-checkpoint');
  }

  /**
   * The guest has taken over: its packets go its own way.
   *
   * @throws NetworkError `DRIVER_NETWORK_STUCK`
   */
  async open(): Promise<void> {
    await openNetwork(this.#steps.context(), this.#steps.cards);
  }
}
