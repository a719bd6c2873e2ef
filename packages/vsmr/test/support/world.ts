import { PageSet } from '../../src/page-set.js';
import type { DisksPort, GuestPort, OutputPort, RamPort, Spoilt } from '../../src/ports.js';

export const PAGE_BYTES = 32;
export const PAGES = 40;
const BLOCKS = 6;

export type Side = 'primary' | 'secondary';

/** Everything that a VM is, as text. */
export interface VmState {
  readonly counter: number;
  readonly whole: string;
}

/** What breaks, and at which of the steps that the ports take. */
export interface Accident {
  /** `continued`: somebody lets the primary's guest run. */
  readonly kind: 'primary-dies' | 'secondary-dies' | 'link-cut' | 'step-fails' | 'continued';
  readonly at: number;
}

/** A disk with the buffers of a replica: the secondary's host has it. */
class FakeDisks implements DisksPort {
  base: number[] = new Array<number>(BLOCKS).fill(0);
  readonly ofPrimary = new Map<number, number>();
  readonly ofSecondary = new Map<number, number>();

  constructor(private readonly step: (label: string) => Promise<void>) {}

  whyNotResume: () => string | undefined = () => undefined;

  async commit(): Promise<void> {
    await this.step('commit');
    for (const [block, value] of this.ofPrimary) this.base[block] = value;
    this.ofPrimary.clear();
    this.ofSecondary.clear();
  }

  async failOver(): Promise<void> {
    await this.step('fail over');
    this.ofPrimary.clear();
  }

  seenBy(side: Side): number[] {
    const own = side === 'primary' ? this.ofPrimary : this.ofSecondary;
    return this.base.map((value, block) => own.get(block) ?? value);
  }
}

/** A machine whose device counts its ticks, and keeps that count in page 0 too, as virtio does. */
class FakeGuest implements GuestPort {
  readonly ram = new Uint8Array(PAGE_BYTES * PAGES);
  counter = 0;
  isRunning: boolean;
  /** It was continued since it was paused, and not by its engine. */
  isSpoilt = false;
  #random: number;

  constructor(
    private readonly world: World,
    readonly side: Side,
  ) {
    this.isRunning = side === 'primary';
    this.#random = side === 'primary' ? 7 : 1_000_003;
  }

  /** Changes some of its RAM, its device and its disk, and sends a packet. */
  tick(): void {
    this.counter += this.side === 'primary' ? 1 : 1000;
    new DataView(this.ram.buffer).setUint32(0, this.counter);
    for (let change = 0; change < 2; change++) {
      const at = PAGE_BYTES + (this.#next() % (this.ram.length - PAGE_BYTES));
      this.ram[at] = this.#next();
    }
    const { disks } = this.world;
    const own = this.side === 'primary' ? disks.ofPrimary : disks.ofSecondary;
    own.set(this.#next() % BLOCKS, this.counter);
    this.world.ticked(this.side);
  }

  async pause(): Promise<void> {
    await this.world.step(this.side, 'pause');
    // It runs until it is stopped.
    if (this.isRunning && !this.world.isOver) this.tick();
    this.isRunning = false;
    this.isSpoilt = false;
    this.world.paused(this.side);
  }

  /** By somebody else. */
  continue(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.isSpoilt = true;
    this.world.run();
  }

  /** What it says of what was saved of it. */
  spoilt = (): Spoilt | undefined =>
    this.isSpoilt ? { reason: 'somebody has continued it', hasRun: true } : undefined;

  async resume(): Promise<void> {
    await this.world.step(this.side, 'resume');
    this.isRunning = true;
  }

  async saveDevices(): Promise<Uint8Array> {
    await this.world.step(this.side, 'save devices');
    return Buffer.from(JSON.stringify({ counter: this.counter }));
  }

  async loadDevices(state: Uint8Array): Promise<void> {
    await this.world.step(this.side, 'load devices');
    if (this.isRunning) this.world.faults.push(`${this.side}: devices loaded while it runs`);
    const { counter } = JSON.parse(Buffer.from(state).toString()) as { counter: number };
    // A device that fails to load has changed all the same.
    this.counter = counter;
    const ring = new DataView(this.ram.buffer).getUint32(0);
    if (ring !== counter) throw new Error(`the ring has ${ring}, the device ${counter}`);
  }

  state(): VmState {
    const disk = this.world.disks.seenBy(this.side).join();
    const { counter } = this;
    return { counter, whole: `${counter} ${disk} ${Buffer.from(this.ram).toString('hex')}` };
  }

  #next(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random >>> 8;
  }
}

class FakeRam implements RamPort {
  readonly pageBytes = PAGE_BYTES;
  readonly pages = PAGES;
  readonly #seen = new Uint8Array(PAGE_BYTES * PAGES);

  constructor(
    private readonly world: World,
    private readonly guest: FakeGuest,
  ) {}

  async refresh(): Promise<PageSet> {
    await this.world.step(this.guest.side, 'refresh');
    if (this.guest.isRunning) this.guest.tick();
    const changed = new PageSet(PAGES);
    for (let page = 0; page < PAGES; page++) {
      const now = this.#at(this.guest.ram, page);
      if (Buffer.compare(now, this.#at(this.#seen, page)) === 0) continue;
      changed.add(page);
      this.#at(this.#seen, page).set(now);
    }
    return changed;
  }

  async read(pages: Uint32Array): Promise<Uint8Array> {
    await this.world.step(this.guest.side, 'read');
    return Buffer.concat([...pages].map((page) => this.#at(this.#seen, page)));
  }

  async write(pages: Uint32Array, data: Uint8Array): Promise<void> {
    // Each page by itself, so that an accident may come between two.
    for (const [at, page] of pages.entries()) {
      await this.world.step(this.guest.side, 'write a page');
      if (this.guest.isRunning) this.world.faults.push('RAM replaced while the guest runs');
      const content = data.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
      for (const ram of [this.guest.ram, this.#seen]) this.#at(ram, page).set(content);
    }
  }

  /** What another process would see: the first look compares with zeroes. */
  forget(): void {
    this.#seen.fill(0);
  }

  #at(ram: Uint8Array, page: number): Uint8Array {
    return ram.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }
}

/** Packets of the primary that wait for a checkpoint. */
class FakeOutput implements OutputPort {
  held: number[] = [];

  constructor(private readonly world: World) {}

  async release(): Promise<void> {
    const before = this.held.length;
    await this.world.step('primary', 'release');
    const { held } = this;
    this.held = [];
    const known = this.world.knownBySecondary();
    if (this.world.isPrimaryAlone) return;
    const early = held.filter((counter) => counter > known);
    if (early.length === 0) return;
    const leak = `packet ${early[0]} left before its checkpoint`;
    // At this very moment somebody has continued the guest: then it has to go on, and no other.
    if (this.world.guests.primary.isSpoilt && before < held.length) this.world.leak = leak;
    else this.world.faults.push(leak);
  }
}

/** Two VMs, a replica and a connection, in which things go wrong. */
export class World {
  readonly faults: string[] = [];
  readonly disks = new FakeDisks((label) => this.step('secondary', label));
  readonly guests = {
    primary: new FakeGuest(this, 'primary'),
    secondary: new FakeGuest(this, 'secondary'),
  };
  readonly rams = {
    primary: new FakeRam(this, this.guests.primary),
    secondary: new FakeRam(this, this.guests.secondary),
  };
  readonly output = new FakeOutput(this);
  /** What the primary was when it was paused last. */
  pausedPrimary: VmState | undefined;
  /** What the secondary was when it ran last by itself, or was committed last. */
  lastSecondary: VmState | undefined;
  /** The last checkpoint that the secondary said it has. */
  committed: VmState | undefined;
  isPrimaryAlone = false;
  /** No accident happens any more, and no guest changes anything. */
  isOver = false;
  /** Why the secondary must not take over any more. */
  leak: string | undefined;
  /** Accidents so far. */
  happened = 0;
  steps = 0;
  readonly #dead = new Set<Side>();

  constructor(
    private readonly accidents: readonly Accident[],
    private readonly cutLink: () => void,
    /** How long a step takes. Default: no turn of the event loop. */
    private readonly pace: () => Promise<void> = () => Promise.resolve(),
  ) {}

  /** A port is used. */
  async step(side: Side, label: string): Promise<void> {
    this.#live(side, label);
    await this.pace();
    if (this.isOver) return;
    this.steps++;
    const accident = this.accidents.find(({ at }) => at === this.steps);
    if (accident !== undefined) {
      this.happened++;
      const { kind } = accident;
      if (kind === 'continued') return this.guests.primary.continue();
      if (kind === 'step-fails') throw new Error(`${side} cannot ${label}`);
      if (kind !== 'link-cut') this.#dead.add(kind === 'primary-dies' ? 'primary' : 'secondary');
      this.cutLink();
    }
    this.#live(side, label);
  }

  isDead(side: Side): boolean {
    return this.#dead.has(side);
  }

  /** Both guests run for a while, if they run. */
  run(): void {
    for (const guest of [this.guests.primary, this.guests.secondary]) {
      if (guest.isRunning && !this.isDead(guest.side)) for (let i = 0; i < 3; i++) guest.tick();
    }
  }

  /** One of the guests runs for a moment, if it runs. */
  tick(side: Side): void {
    if (this.guests[side].isRunning && !this.isDead(side)) this.guests[side].tick();
  }

  ticked(side: Side): void {
    if (side === 'primary') this.output.held.push(this.guests.primary.counter);
    else this.lastSecondary = this.guests.secondary.state();
  }

  paused(side: Side): void {
    if (side === 'primary') this.pausedPrimary = this.guests.primary.state();
  }

  /** The primary's count that the secondary would continue from. */
  knownBySecondary(): number {
    return this.committed?.counter ?? 0;
  }

  /** The secondary says that it has a checkpoint, or has gone back to what it was. */
  settled(isCommitted: boolean): void {
    if (isCommitted) {
      this.committed = this.pausedPrimary;
      this.lastSecondary = this.pausedPrimary;
      // It is not to go on from that: see the end of the run.
      if (this.guests.primary.isSpoilt) return;
    }
    if (this.lastSecondary !== undefined) this.expectSecondary(this.lastSecondary, 'settled');
  }

  expectSecondary({ whole }: VmState, when: string): void {
    const found = this.guests.secondary.state().whole;
    if (found !== whole) this.faults.push(`${when}: the secondary is ${found}, not ${whole}`);
  }

  #live(side: Side, label: string): void {
    if (this.isDead(side)) throw new Error(`${side} is dead: ${label}`);
  }
}
