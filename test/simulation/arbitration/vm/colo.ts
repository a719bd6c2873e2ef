// What is between the two QEMUs: the copy of the disks, the migration, COLO's channel and its
// checkpoints, in the order of QEMU's migration/colo.c; and what a cut, a silence or an end does to
// each side.

import type { Random } from '@gannet/test-support/random.js';
import type { Network } from '../network.js';
import type { QemuHandlers, SimulatedQemu, Written } from './qemu.js';
import type { SimulatedReplica } from './replica.js';
import type { Scheduler } from '../scheduler.js';

/** Of one side: its QEMU, the replica that serves it, whether its host has power. */
export interface ColoHost {
  readonly name: 'a' | 'b';
  readonly isPowered: boolean;
  readonly qemu: SimulatedQemu | undefined;
  readonly replica: SimulatedReplica | undefined;
}

export interface ColoWatcher {
  note(what: string): void;
  /** Both sides have this state of the guest, and its secondary would continue from it. */
  committed(primary: SimulatedQemu, written: Written | undefined): void;
  /** QEMU has no way from the state of its guest to a checkpoint. */
  aborts(qemu: SimulatedQemu): void;
}

const PERIOD_MS = 2000;

/** One protection, from its first copied byte on. */
interface Pair {
  readonly primary: SimulatedQemu;
  readonly secondary: SimulatedQemu;
  readonly replica: SimulatedReplica;
  readonly secondaryHost: ColoHost;
  /** The ends that know that the channel is broken. */
  readonly broken: Set<SimulatedQemu>;
  isReplicaLinked: boolean;
}

export class Colo implements QemuHandlers {
  #pair: Pair | undefined;
  /** The last write that the primary's guest has made while protected. */
  checkpoints = 0;

  constructor(
    private readonly time: Scheduler,
    private readonly random: Random,
    private readonly network: Network,
    private readonly hosts: readonly ColoHost[],
    private readonly watcher: ColoWatcher,
  ) {
    network.on(() => this.#networkChanged());
  }

  /** The network resets all connections. */
  reset(): void {
    const pair = this.#pair;
    if (!pair) return;
    this.#breaks(pair, pair.primary);
    this.#breaks(pair, pair.secondary);
    this.#unlinks(pair, 'the connection was reset');
    this.#linkFailed(pair);
  }

  /** A QEMU has ended; if its host has lost its power, its connections stay open. */
  ended(qemu: SimulatedQemu, wasSeen: boolean): void {
    const pair = this.#pair;
    if (!pair || (qemu !== pair.primary && qemu !== pair.secondary)) return;
    if (!wasSeen) return;
    this.#tellOther(pair, qemu);
    if (qemu === pair.primary) this.#tellReplica(pair, 'the primary has hung up');
  }

  /** The secondary's daemon has ended, and its NBD server with it. */
  replicaEnded(replica: SimulatedReplica, wasSeen: boolean): void {
    const pair = this.#pair;
    if (pair?.replica !== replica) return;
    pair.isReplicaLinked = false;
    this.watcher.note('the replica has ended');
    if (wasSeen && this.network.isWhole) this.time.later(1, () => this.#linkFailed(pair));
  }

  async seed(qemu: SimulatedQemu): Promise<string | undefined> {
    const secondaryHost = this.hosts.find((host) => host.qemu !== qemu);
    const { qemu: secondary, replica } = secondaryHost ?? {};
    if (!secondaryHost || !secondary?.isAlive || !replica || !this.network.isWhole) {
      return 'no replica answers';
    }
    const broken = new Set<SimulatedQemu>();
    this.#pair = {
      primary: qemu,
      secondary,
      replica,
      secondaryHost,
      broken,
      isReplicaLinked: true,
    };
    qemu.isLinked = true;
    replica.connected();
    const linked = this.#pair;
    return new Promise((resolve) => {
      this.time.after(qemu.process, 300 + 1500 * this.random.next(), () => {
        resolve(linked.isReplicaLinked ? undefined : 'the link broke');
      });
    });
  }

  migrate(qemu: SimulatedQemu): void {
    const pair = this.#pair;
    qemu.migration = 'active';
    this.time.later(200 + 800 * this.random.next(), () => {
      const isThere = pair?.secondary.isAlive && pair.secondary.status === 'inmigrate';
      if (!pair || !isThere || !this.#isWhole(pair) || !this.network.isWhole) {
        qemu.migration = 'failed';
        return;
      }
      qemu.migration = 'colo';
      pair.secondary.migration = 'colo';
      qemu.mode = 'primary';
      qemu.lastMode = 'none';
      pair.secondary.mode = 'secondary';
      pair.secondary.written = qemu.written;
      pair.secondary.resumed();
      // Whoever had stopped it.
      if (qemu.status !== 'running') qemu.resumed();
      this.watcher.committed(qemu, qemu.written);
      this.watcher.note('COLO has begun');
      this.time.later(PERIOD_MS, () => this.#checkpoint(pair));
    });
  }

  cutLinks(qemu: SimulatedQemu): void {
    const pair = this.#pair;
    if (!pair || (qemu !== pair.primary && qemu !== pair.secondary)) return;
    this.#breaks(pair, qemu);
    this.#tellOther(pair, qemu);
    if (qemu === pair.primary) this.#tellReplica(pair, 'the primary has cut its links');
  }

  unlink(qemu: SimulatedQemu): void {
    qemu.isLinked = false;
    const pair = this.#pair;
    if (pair?.primary === qemu) this.#tellReplica(pair, 'the primary has removed its links');
  }

  loseHeartbeat(qemu: SimulatedQemu): boolean {
    if (qemu.mode === 'none') return false;
    const pair = this.#pair;
    qemu.lastMode = qemu.mode;
    qemu.mode = 'none';
    qemu.reason = 'request';
    qemu.migration = 'completed';
    qemu.coloExited('request');
    // Whatever had stopped the guest, it is continued where its new part begins (migration.c,
    // migration_iteration_finish; colo.c).
    this.time.after(qemu.process, 1 + 10 * this.random.next(), () => {
      if (qemu.status === 'running') qemu.stopped('colo');
      this.time.after(qemu.process, 1, () => {
        if (qemu.status !== 'running') qemu.resumed();
      });
    });
    if (pair) {
      this.#tellOther(pair, qemu);
      pair.broken.add(qemu);
    }
    return true;
  }

  /**
   * Whether the writes of a primary wait for the replica's answer, which does not come. A primary
   * that has removed its links waits for nobody, though the replica may not have heard of it.
   */
  waits(qemu: SimulatedQemu): boolean {
    const pair = this.#pair;
    if (!qemu.isLinked) return false;
    if (pair?.primary !== qemu || !pair.isReplicaLinked || pair.broken.has(qemu)) return false;
    return !this.network.isWhole || !pair.secondaryHost.isPowered;
  }

  /** Whether the replica takes the writes of a primary. */
  takesWritesOf(qemu: SimulatedQemu): boolean {
    const pair = this.#pair;
    return qemu.mode === 'primary' && pair?.primary === qemu && this.#isWhole(pair);
  }

  #checkpoint(pair: Pair): void {
    const { primary, secondary } = pair;
    if (pair !== this.#pair || pair.broken.size > 0 || primary.mode !== 'primary') return;
    const again = (): void => {
      this.time.later(PERIOD_MS, () => this.#checkpoint(pair));
    };
    // It waits for an answer, as long as it takes.
    if (!this.#canTalk(pair)) return this.time.later(100, () => this.#checkpoint(pair));
    if (primary.status === 'io-error') return this.watcher.aborts(primary);
    if (primary.status !== 'running') return again();
    primary.stopped('colo');
    const snapshot = primary.written;
    this.time.later(2 + 5 * this.random.next(), () => {
      if (!this.#canTalk(pair) || secondary.mode !== 'secondary') return this.#resume(pair, again);
      secondary.stopped('colo');
      this.time.later(2 + 20 * this.random.next(), () => {
        if (!this.#canTalk(pair) || secondary.mode !== 'secondary')
          return this.#resume(pair, again);
        secondary.written = snapshot;
        secondary.resumed();
        this.checkpoints++;
        this.watcher.committed(primary, snapshot);
        this.#resume(pair, again);
      });
    });
  }

  /** The primary continues when it hears that the secondary has; where it never does, it waits. */
  #resume(pair: Pair, again: () => void): void {
    const { primary } = pair;
    this.time.later(1 + this.random.next(), () => {
      if (primary.mode !== 'primary' || primary.status !== 'colo') return;
      if (pair.broken.size > 0 || !primary.isAlive) return;
      if (!this.#canTalk(pair)) return this.#resume(pair, again);
      primary.resumed();
      again();
    });
  }

  #isWhole(pair: Pair): boolean {
    return pair === this.#pair && pair.broken.size === 0 && pair.isReplicaLinked;
  }

  #canTalk(pair: Pair): boolean {
    const areWell = [pair.primary, pair.secondary].every(
      ({ isAlive, hang, process }) =>
        isAlive && hang === undefined && process.haltedAtMs === undefined,
    );
    return areWell && this.network.isWhole && this.#isWhole(pair);
  }

  /** One end learns that the channel is broken. */
  #breaks(pair: Pair, end: SimulatedQemu): void {
    if (pair.broken.has(end) || !end.isAlive) return;
    pair.broken.add(end);
    if (end.status === 'inmigrate') {
      // The migration that it waited for has failed, or has not begun.
      return;
    }
    if (end.mode !== 'none') end.coloExited('error');
  }

  #tellOther(pair: Pair, end: SimulatedQemu): void {
    const other = end === pair.primary ? pair.secondary : pair.primary;
    if (!this.network.isWhole) return;
    this.time.later(1 + 5 * this.random.next(), () => {
      if (other.mode !== 'none') this.#breaks(pair, other);
    });
  }

  #tellReplica(pair: Pair, reason: string): void {
    if (this.network.isWhole) this.time.later(1, () => this.#unlinks(pair, reason));
  }

  #unlinks(pair: Pair, reason: string): void {
    if (!pair.isReplicaLinked) return;
    pair.isReplicaLinked = false;
    pair.replica.lost(reason);
  }

  /** The primary's next write shows it. */
  #linkFailed({ primary }: Pair): void {
    if (primary.isAlive && primary.isLinked) primary.linkFailed();
  }

  /** After a silence, whoever has broken off is found out. */
  #networkChanged(): void {
    const pair = this.#pair;
    if (!pair || !this.network.isWhole) return;
    for (const end of [pair.primary, pair.secondary]) {
      if (!end.isAlive || pair.broken.has(end)) this.#tellOther(pair, end);
    }
    if (!pair.primary.isAlive || pair.broken.has(pair.primary)) {
      this.#tellReplica(pair, 'the primary has hung up');
    }
    if (!pair.isReplicaLinked) this.#linkFailed(pair);
  }
}
