// W5, once all faults have ended: what makes a guest run, and who has to. Where the design has a
// daemon act (docs/explanation/failover.md, "Who acts in each stage"), a person is no answer.

import { Violation } from './checker.js';
import { BOOT_MS, HOST_NAMES, type Machines, otherOf } from './machines.js';
import type { HostName } from './network.js';
import type { Command, Plan } from './plan.js';

/**
 * Who has made a guest run in the end: nobody had to, the VM was started, an operator's command,
 * one with force; or its disks are on the secondary host, and are recovered there by hand.
 */
export type End = 'itself' | 'reboot' | 'operator' | 'force' | 'recover';

/** A pair without faults has found its way by then. */
export const SETTLE_MS = 45_000;
const COMMAND_MS = 70_000;
/** In which a primary notices that its secondary is silent, has it fenced, and goes on alone. */
const LET_GO_MS = 35_000;

export interface EndingOptions {
  readonly machines: Machines;
  readonly plan: Plan;
  /** An operator has overruled what the hosts know, at any time. */
  readonly wasOverruled: () => boolean;
  readonly now: () => number;
  readonly until: (atMs: number) => Promise<void>;
  readonly operate: (name: HostName, command: Command) => void;
}

export class Ending {
  /** Since when the writes of a guest wait, and its daemon could act. */
  readonly #waitsSinceMs = new Map<HostName, number>();

  constructor(private readonly options: EndingOptions) {}

  /** While faults last: a guest whose writes wait for a dead secondary is let go on. */
  look(): void {
    const { machines, plan, wasOverruled, now } = this.options;
    const mayGo = plan.letsGo && plan.fenceWorks === 1 && plan.primaryHasFence;
    for (const name of HOST_NAMES) {
      const { role, qemu, wasFirst } = machines.hosts[name];
      const isOwed = mayGo && wasFirst && role === 'primary' && machines.isWell(name);
      if (!isOwed || wasOverruled() || !qemu || !machines.isReachable(name)) {
        this.#waitsSinceMs.delete(name);
      } else if (!machines.colo.waits(qemu)) this.#waitsSinceMs.delete(name);
      else if (!this.#waitsSinceMs.has(name)) this.#waitsSinceMs.set(name, now());
      const waitsMs = now() - (this.#waitsSinceMs.get(name) ?? now());
      if (waitsMs <= LET_GO_MS) continue;
      throw new Violation('W5', `the guest of ${name} waits for ${waitsMs} ms, and nobody acts`);
    }
  }

  /** A guest runs, or a person makes one run where that is a person's; W6: it can be repeated. */
  async find(): Promise<End> {
    const { machines, now, until } = this.options;
    await this.#untilPowered();
    this.#expectNobodyOwes();
    if (this.#runs()) return 'itself';
    const isBooted = !machines.hasCopy();
    if (isBooted) {
      // The disk of the primary's host is there.
      for (const name of HOST_NAMES) {
        if (machines.hosts[name].role === 'primary') machines.startQemu(name);
      }
      await until(now() + BOOT_MS + SETTLE_MS);
      this.#expectNobodyOwes();
      if (this.#runs()) return 'reboot';
    }
    const plain = { name: 'failover', force: false, overrulePeer: false } as const;
    const forced = { name: 'failover', force: true, overrulePeer: true } as const;
    for (const [command, end] of [
      [plain, 'operator'],
      [forced, 'force'],
    ] as const) {
      for (const name of ['b', 'a'] as const) {
        for (let attempt = 0; attempt < 2; attempt++) {
          await this.#carryOut(name, command);
          if (!this.#runs()) continue;
          // What was overruled becomes known.
          if (end === 'force') await until(now() + SETTLE_MS);
          return end;
        }
      }
    }
    const { a, b } = machines.hosts;
    const broken = [a, b].find(({ role, qemu }) => role === 'primary' && qemu?.hadDiskFault);
    if (broken) {
      // As the daemon says: repair the storage, and restart the VM.
      machines.killQemu(broken.name, true);
      machines.startQemu(broken.name);
      await until(now() + BOOT_MS + SETTLE_MS);
      if (this.#runs()) return 'reboot';
    }
    if (isBooted && (a.isGuestsDisk || b.isGuestsDisk)) return 'recover';
    throw new Violation('W5', 'a QEMU is there with a copy that may run, and nobody makes it run');
  }

  /** For the other VM of two hosts, somebody may just have had one of them fenced. */
  async #untilPowered(): Promise<void> {
    const { machines, now, until } = this.options;
    const areUp = (): boolean => HOST_NAMES.every((name) => machines.hosts[name].isPowered);
    if (areUp()) return;
    while (!areUp()) await until(now() + 1000);
    await until(now() + SETTLE_MS);
  }

  /** A method: it may become true while something is awaited. */
  #runs(): boolean {
    return HOST_NAMES.some((name) => this.options.machines.isReachable(name));
  }

  /** What the daemons owe is done by now: the network has been whole for long, and both ran. */
  #expectNobodyOwes(): void {
    if (this.options.wasOverruled() || !this.options.machines.areInContact()) return;
    const owed = this.#owed();
    if (owed !== undefined) throw new Violation('W5', `${owed}, and its daemon does not act`);
  }

  #owed(): string | undefined {
    const { machines, plan } = this.options;
    const name = HOST_NAMES.find((one) => machines.hosts[one].role === 'primary') ?? 'a';
    const [primary, secondary] = [machines.hosts[name], machines.hosts[otherOf(name)]];
    const { qemu, process } = primary;
    if (this.#runs() || secondary.isGuestsDisk) return undefined;
    // By the word of the primary's daemon, which was there when its QEMU ended, and is there now.
    const isWord = qemu?.isAlive === false && qemu.wasProtected && qemu.endSeenBy === process;
    const hasYielded = qemu?.isAlive === true && qemu.hasFailed && qemu.mode !== 'none';
    const isFit =
      secondary.replica?.state === 'protected' &&
      secondary.qemu?.doesRespond === true &&
      secondary.qemu.mode !== 'none' &&
      secondary.qemu.hasProtected;
    const hasFence = secondary.wasFirst ? plan.primaryHasFence : plan.secondaryHasFence;
    if (plan.isAutomatic && hasFence && isFit && (isWord || hasYielded)) {
      return `${name} says that its guest does not run, and ${secondary.name} can take over`;
    }
    const isStill = qemu?.doesRespond === true && qemu.status === 'paused' && !qemu.hasFailed;
    const isItsOwn = qemu?.hadDiskFault === true;
    const isClaimed = primary.hasClaimed || secondary.hasClaimed;
    if (isStill && !isItsOwn && !isClaimed)
      return `${name} holds its guest, and nobody has taken over`;
    return undefined;
  }

  /** Until there is an answer, and a moment longer. */
  async #carryOut(name: HostName, command: Command): Promise<void> {
    const { machines, now, until, operate } = this.options;
    const endMs = now() + COMMAND_MS;
    operate(name, command);
    do {
      await until(now() + 500);
    } while (machines.daemons[name]?.isBusy === true && now() < endMs);
    await until(now() + 1500);
  }
}
