import type { PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { PeerStatus, PrimaryConfig } from '@gannet/contract';
import type { History } from '../history.js';
import type { PeerLink } from '../peer/peer-link.js';
import { awaitPeer } from './await-peer.js';
import { CheckpointLog } from './checkpoint-log.js';
import { CheckpointWatch } from './checkpoint-watch.js';

export interface PrimaryCheckpointsOptions {
  readonly history: Pick<History, 'add'>;
  readonly config: () => PrimaryConfig;
  readonly link: () => PeerLink;
  readonly driver: () => PrimaryDriver | undefined;
  readonly isProtected: () => boolean;
  readonly onStall: (limitMs: number) => void;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * The primary's checkpoints: which were made and why, that they keep coming, and those on demand.
 */
export class PrimaryCheckpoints {
  readonly #watch: CheckpointWatch;
  readonly #log: CheckpointLog;
  /** For this one the secondary's memory pressure has been answered with a checkpoint. */
  #relievedEpoch = -1;

  constructor(private readonly options: PrimaryCheckpointsOptions) {
    const { history, config, onStall } = options;
    const limitMs = (): number => config().primary.checkpointPeriodMs + 2 * config().peer.highMs;
    this.#watch = new CheckpointWatch(limitMs, onStall);
    this.#log = new CheckpointLog(
      (record) => history.add('checkpoint', record),
      () => (config().network.length > 0 ? config().primary.checkpointPeriodMs : undefined),
    );
  }

  get last(): CheckpointLog['last'] {
    return this.#log.last;
  }

  attend(qmp: QmpClient): void {
    this.#log.attend(qmp);
  }

  /** There has been one, or there is about to be the first. */
  expectNext(): void {
    this.#watch.restart();
  }

  /** None is to be expected any more. */
  stop(): void {
    this.#watch.stop();
  }

  /** What the secondary says. */
  hear({ commit, epoch, memoryPressure }: PeerStatus, before: PeerStatus | undefined): void {
    this.#log.committed(commit);
    if (epoch !== before?.epoch && this.options.isProtected()) {
      this.expectNext();
      // A QEMU that can't be asked is noticed elsewhere.
      this.options
        .driver()
        ?.checkGraph()
        .catch(() => undefined);
    }
    if (memoryPressure === true) this.#relieve(epoch);
  }

  /** In COLO, QEMU takes a new period as a wish for a checkpoint, too. */
  async setPeriod(periodMs: number): Promise<void> {
    this.#log.asked('demand');
    await this.options.driver()?.setPeriod(periodMs);
  }

  /** Resolves when the checkpoint is done. */
  async make(driver: PrimaryDriver, signal: AbortSignal): Promise<void> {
    const { vm, primary, peer } = this.options.config();
    const link = this.options.link();
    const before = link.peer?.status.epoch ?? 0;
    this.#log.asked('demand');
    await driver.checkpointNow();
    await awaitPeer({
      ...{ ...peer, vm, link, address: primary.peer, signal },
      what: 'the checkpoint',
      isThere: ({ epoch }) => epoch > before,
    });
  }

  /** A checkpoint empties the secondary's buffers; one is enough for an epoch. */
  #relieve(epoch: number): void {
    if (epoch === this.#relievedEpoch || !this.options.isProtected()) return;
    this.#relievedEpoch = epoch;
    this.#log.asked('memory');
    this.options.driver()?.checkpointNow().catch(this.options.onTrouble);
  }
}
