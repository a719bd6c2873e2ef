// One cell: a Pacemaker cluster of some hosts, their VMs, and what is lost and copied in it.

import type { Random } from '@gannet/test-support/random.js';
import { type Assumptions, FLAVOURS } from './assumptions.js';
import { Broken, Pair } from './pair.js';
import { type Candidate, type Placement, type PlacementName, PLACEMENTS } from './placement.js';
import { Exposure, Peaks } from './observed.js';
import { Timeline } from './timeline.js';
import { Transfers } from './transfers.js';

const MIB_IN_GIB = 1024;

export interface Host {
  readonly index: number;
  readonly rack: number;
  isUp: boolean;
  /** Nothing new comes here: it is about to be upgraded. */
  isLeaving: boolean;
  usedGiB: number;
  readonly primaries: Set<Pair>;
  readonly secondaries: Set<Pair>;
}

export class Cell {
  readonly time = new Timeline();
  readonly hosts: readonly Host[];
  readonly pairs: readonly Pair[] = [];
  readonly transfers: Transfers;
  readonly exposure: Exposure;
  readonly peaks = new Peaks();
  /** VMs whose last copy was lost. */
  downs = 0;
  /** How long each VM stood still that was taken over, in seconds. */
  readonly standstills: number[] = [];
  /** For each lost host: how many of its VMs the host took over that took most. */
  readonly mostTakenOver: number[] = [];
  readonly #waiting = new Set<Pair>();
  /** New copies wait for a host that comes back. */
  #isAwaiting = false;
  readonly #placement: Placement;
  /** Each VM runs on its own host, as soon as it can again. */
  readonly #goesHome: boolean;

  /** @param racks of its hosts */
  constructor(
    readonly assumptions: Assumptions,
    placement: PlacementName,
    racks: readonly number[],
    private readonly random: Random,
    /** Both copies of a VM may be in one rack: shown for comparison, wrong otherwise. */
    private readonly mayShareRack = false,
  ) {
    this.#placement = PLACEMENTS[placement];
    this.#goesHome = placement === 'pairs';
    this.hosts = racks.map((rack, index) => ({
      ...{ index, rack, isUp: true, isLeaving: false, usedGiB: 0 },
      ...{ primaries: new Set<Pair>(), secondaries: new Set<Pair>() },
    }));
    this.transfers = new Transfers(this.hosts.length, assumptions);
    this.exposure = new Exposure(this.time);
    this.pairs = this.#fill();
    this.#look();
  }

  /** The VMs: the largest first, each where most memory is free. */
  #fill(): Pair[] {
    const { vmsPerHost } = this.assumptions;
    const flavours = Array.from({ length: this.hosts.length * vmsPerHost }, () => {
      let at = this.random.below(100);
      const found = FLAVOURS.find(({ share }) => (at -= share) < 0);
      return found as (typeof FLAVOURS)[number];
    });
    flavours.sort((one, other) => other.memoryGiB - one.memoryGiB);
    const pairs = flavours.map(({ memoryGiB, diskGiB, writeRate }, id) => {
      const open = this.hosts.filter(({ primaries }) => primaries.size < vmsPerHost);
      const host = open.reduce((best, one) => (one.usedGiB < best.usedGiB ? one : best));
      const pair = new Pair(id, memoryGiB, diskGiB, writeRate, host.index);
      this.#run(pair);
      return pair;
    });
    for (const pair of pairs) {
      this.exposure.lose(pair);
      const target = this.#targetFor(pair);
      if (target === undefined) {
        this.#waiting.add(pair);
        continue;
      }
      this.#reserve(pair, target);
      pair.endSeed();
      this.exposure.cover(pair);
    }
    return pairs;
  }

  /** What a secondary takes: QEMU, COLO's copy of the last checkpoint, and the buffers. */
  #secondaryGiB(pair: Pair): number {
    return 2 * pair.memoryGiB + this.assumptions.bufferGiB;
  }

  host(index: number): Host {
    return this.hosts[index] as Host;
  }

  get hasQuorum(): boolean {
    const up = this.hosts.filter(({ isUp }) => isUp).length;
    // Two hosts have a third vote.
    return this.hosts.length === 2 ? up > 0 : 2 * up > this.hosts.length;
  }

  get isCovered(): boolean {
    return this.exposure.uncovered === 0;
  }

  /** VMs that have found no host for their second copy. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Nothing more will happen by itself. */
  get isIdle(): boolean {
    return this.time.next === Infinity && this.transfers.nextIn() === Infinity;
  }

  #run(pair: Pair): void {
    const host = this.host(pair.primary);
    host.usedGiB += pair.memoryGiB;
    host.primaries.add(pair);
    this.transfers.addSteady(host.index, pair.writeRate, 'disk');
  }

  #leave(pair: Pair): void {
    const host = this.host(pair.primary);
    host.usedGiB -= pair.memoryGiB;
    host.primaries.delete(pair);
    this.transfers.addSteady(host.index, -pair.writeRate, 'disk');
  }

  #reserve(pair: Pair, target: Host): void {
    pair.beginSeed(target.index);
    target.usedGiB += this.#secondaryGiB(pair);
    target.secondaries.add(pair);
    this.#stream(pair, target.index, 1);
    this.#check(pair, target);
  }

  #release(pair: Pair, index: number): void {
    const host = this.host(index);
    host.usedGiB -= this.#secondaryGiB(pair);
    host.secondaries.delete(pair);
    this.#stream(pair, index, -1);
  }

  /** What a primary sends all day, and its secondary writes. */
  #stream(pair: Pair, secondary: number, sign: 1 | -1): void {
    const sent = sign * pair.writeRate * (1 + this.assumptions.memoryTraffic);
    this.transfers.addSteady(secondary, sign * pair.writeRate, 'disk');
    this.transfers.addSteady(pair.primary, sent, 'out');
    this.transfers.addSteady(secondary, sent, 'in');
  }

  #check(pair: Pair, target: Host): void {
    const { rack, index } = this.host(pair.primary);
    const isOneRack = rack === target.rack && !this.mayShareRack;
    if (isOneRack || index === target.index) {
      throw new Broken(`both copies of VM ${pair.id} are in rack ${rack}`);
    }
    if (target.usedGiB > this.assumptions.hostMemoryGiB + 1e-6) {
      throw new Broken(`host ${target.index} needs ${target.usedGiB} GiB of memory`);
    }
    pair.check();
  }

  #targetFor(pair: Pair): Host | undefined {
    const { hostMemoryGiB, seedsAtOnce } = this.assumptions;
    const source = this.host(pair.primary);
    const shared = new Map<number, number>();
    for (const { secondary } of source.primaries) {
      if (secondary !== undefined) shared.set(secondary, (shared.get(secondary) ?? 0) + 1);
    }
    const candidates: Candidate[] = this.hosts
      .filter((host) => host.isUp && !host.isLeaving)
      .filter(({ index }) => this.transfers.countOf(index, 'in') < seedsAtOnce)
      .map(({ index, rack, usedGiB }) => {
        return { index, rack, freeGiB: hostMemoryGiB - usedGiB, shared: shared.get(index) ?? 0 };
      });
    const need = { host: source.index, rack: source.rack, neededGiB: this.#secondaryGiB(pair) };
    const found = this.#placement(need, candidates);
    return found && this.host(found.index);
  }

  /** Begins the seeds that can begin, small ones first: most VMs are covered soonest. */
  #protectWaiting(): void {
    if (!this.hasQuorum || this.#isAwaiting) return;
    const { seedsAtOnce } = this.assumptions;
    const waiting = [...this.#waiting].sort((one, other) => {
      return one.diskGiB - other.diskGiB || one.id - other.id;
    });
    for (const pair of waiting) {
      if (this.transfers.countOf(pair.primary, 'out') >= seedsAtOnce) continue;
      const target = this.#targetFor(pair);
      if (target !== undefined) this.#seed(pair, target, pair.diskGiB * MIB_IN_GIB);
    }
    this.#look();
  }

  #seed(pair: Pair, target: Host, diskMiB: number): void {
    const { seedRate, migrateRate, firstCheckpoint } = this.assumptions;
    this.#waiting.delete(pair);
    this.#reserve(pair, target);
    const [from, to] = [pair.primary, target.index];
    this.transfers.begin(pair, { from, to, hasDisk: true, limit: seedRate, mib: diskMiB }, () => {
      const mib = pair.memoryGiB * MIB_IN_GIB;
      this.transfers.begin(pair, { from, to, hasDisk: false, limit: migrateRate, mib }, () => {
        this.time.after(firstCheckpoint, () => {
          if (pair.phase !== 'seeding' || pair.secondary !== to || pair.primary !== from) return;
          pair.endSeed();
          this.exposure.cover(pair);
          pair.check();
          if (this.#goesHome && to === pair.home) this.#switchOver(pair);
          this.#protectWaiting();
        });
      });
    });
  }

  #needsCopy(pair: Pair, seconds: number): void {
    this.time.after(seconds, () => {
      if (pair.phase !== 'alone') return;
      this.#waiting.add(pair);
      this.#protectWaiting();
    });
  }

  #look(): void {
    for (const { index, isUp, usedGiB } of this.hosts) {
      if (!isUp) continue;
      this.peaks.note('memory', usedGiB / this.assumptions.hostMemoryGiB);
      for (const link of ['disk', 'in', 'out'] as const) {
        this.peaks.note(link, this.transfers.loadOf(index, link));
      }
    }
  }

  /** A host dies. What becomes of its VMs follows by itself. */
  lose(index: number): void {
    const host = this.host(index);
    if (!host.isUp) return;
    host.isUp = false;
    const { fenceFrom, fenceTo, settle } = this.assumptions;
    const fencedAfter = fenceFrom + this.random.next() * (fenceTo - fenceFrom);
    for (const pair of [...host.secondaries]) {
      this.transfers.end(pair);
      this.#release(pair, index);
      if (pair.phase === 'taking-over') {
        this.#standsStill(pair);
        continue;
      }
      if (pair.phase === 'protected') this.exposure.lose(pair);
      const { seconds } = pair.loseSecondary(true, this.assumptions);
      this.#needsCopy(pair, Math.max(seconds, fencedAfter) + settle);
    }
    for (const pair of [...host.primaries]) {
      this.transfers.end(pair);
      this.#waiting.delete(pair);
      if (pair.phase === 'protected') this.exposure.lose(pair);
      this.#leave(pair);
      pair.losePrimary();
      if (pair.secondary === undefined) this.#standsStill(pair);
    }
    const orphans = this.pairs.filter((pair) => {
      return pair.primary === index && pair.phase === 'taking-over';
    });
    this.time.after(fencedAfter, () => this.#promote(orphans, fencedAfter));
  }

  #standsStill(pair: Pair): void {
    this.exposure.cover(pair);
    pair.giveUp();
    this.downs++;
  }

  /** As many at once on each host as Pacemaker allows. */
  #promote(orphans: readonly Pair[], sinceLoss: number): void {
    const { promoteFrom, promoteTo, takeover, actionsAtOnce } = this.assumptions;
    const onHost = new Map<number, number>();
    for (const pair of orphans) {
      const target = pair.secondary;
      if (target === undefined || pair.phase !== 'taking-over') continue;
      const before = onHost.get(target) ?? 0;
      onHost.set(target, before + 1);
      const called = promoteFrom + this.random.next() * (promoteTo - promoteFrom);
      const seconds = called + takeover * (1 + Math.floor(before / actionsAtOnce));
      this.time.after(seconds, () => this.#takeOver(pair, 'fence', sinceLoss + seconds));
    }
    this.mostTakenOver.push(Math.max(0, ...onHost.values()));
  }

  #takeOver(pair: Pair, evidence: 'fence' | 'word', standstill: number): void {
    const target = pair.secondary;
    if (target === undefined || pair.phase !== 'taking-over') return;
    if (!this.hasQuorum) {
      this.time.after(1, () => this.#takeOver(pair, evidence, standstill + 1));
      return;
    }
    this.#release(pair, target);
    if (!pair.promote(evidence)) {
      this.#standsStill(pair);
      return;
    }
    this.#run(pair);
    pair.check();
    this.standstills.push(standstill);
    this.#needsCopy(pair, this.assumptions.settle);
    this.#look();
  }

  /** A host is back with its old disks, which are outdated unless a VM waits for them. */
  restore(index: number): void {
    const host = this.host(index);
    host.isUp = true;
    host.isLeaving = false;
    this.#isAwaiting = false;
    for (const pair of this.pairs) {
      if (!pair.hostReturns(index, (one) => this.host(one).isUp)) continue;
      this.exposure.lose(pair);
      this.#run(pair);
      this.#needsCopy(pair, this.assumptions.settle);
    }
    this.#protectWaiting();
  }

  /**
   * A host is emptied for work on it: Pacemaker's standby. Its VMs run on elsewhere.
   *
   * @param isAwaited nothing is copied before it is back
   */
  standby(index: number, isAwaited: boolean): void {
    const host = this.host(index);
    host.isLeaving = true;
    this.#isAwaiting = isAwaited;
    for (const pair of [...host.secondaries]) {
      this.transfers.end(pair);
      if (pair.phase === 'protected') this.exposure.lose(pair);
      this.#release(pair, index);
      pair.loseSecondary(true, this.assumptions);
      this.#needsCopy(pair, this.assumptions.settle);
    }
    for (const pair of [...host.primaries]) {
      if (pair.phase === 'protected') this.#switchOver(pair);
    }
  }

  /** The primary's guest is stopped for it, and the secondary takes over. */
  #switchOver(pair: Pair): void {
    this.exposure.lose(pair);
    this.#leave(pair);
    pair.losePrimary();
    const { switchOver } = this.assumptions;
    this.time.after(switchOver, () => this.#takeOver(pair, 'word', switchOver));
  }

  /** Until `isDone`, or the time is up. */
  runUntil(seconds: number, isDone: () => boolean = () => false): void {
    while (!isDone()) {
      const dueAt = this.time.next;
      const transferAt = this.time.now + this.transfers.nextIn();
      const at = Math.min(dueAt, transferAt);
      if (at > seconds || at === Infinity) {
        if (seconds < Infinity) this.#advance(seconds);
        return;
      }
      this.#advance(at);
      if (transferAt <= dueAt) this.transfers.finish();
      else this.time.step();
    }
  }

  #advance(to: number): void {
    this.transfers.advance(to - this.time.now);
    this.time.now = to;
  }
}
