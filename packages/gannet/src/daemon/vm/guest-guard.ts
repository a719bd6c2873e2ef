import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient, ReturnOf } from 'qemu-qmp-client';

type StatusInfo = ReturnOf<'query-status'>;

export interface GuestGuardOptions {
  readonly qmp: () => QmpClient | undefined;
  /** Cuts the links to the other host, out-of-band: QEMU may hang on them. */
  readonly cut: () => Promise<void>;
  /** For each answer. */
  readonly patienceMs: number;
  /** The guest ran, and was stopped. */
  readonly onStopped: () => void;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Keeps a guest stopped that may not run, until it is released.
 *
 * One that is found paused counts as stopped here: an earlier daemon, or this one before its
 * connection broke, has stopped it, and nobody else comes to continue it. One that was started with
 * `-S` (`prelaunch`) waits for whoever started it.
 */
export class GuestGuard {
  #isOn = false;
  #hasStopped = false;
  /** It stands still, as QEMU has said, and nothing has continued it since. */
  #isStill = false;
  #underWay: Promise<void> | undefined;
  #attended: QmpClient | undefined;
  /** How often the guest was continued. */
  #resumes = 0;

  constructor(private readonly options: GuestGuardOptions) {}

  /** Whether the guest is known to stand still. That it was asked to does not count. */
  get isStill(): boolean {
    return this.#isOn && this.#isStill && this.options.qmp() === this.#attended;
  }

  /** To be called again at each occasion: a checkpoint that ends late may continue the guest. */
  stopGuest(): void {
    this.#isOn = true;
    const qmp = this.options.qmp();
    if (this.#underWay || qmp?.state !== 'open') return;
    this.#attend(qmp);
    this.#underWay = this.#keepStopping(qmp).finally(() => (this.#underWay = undefined));
  }

  /** The guest may run: continues it if it was stopped here. @throws QmpError */
  async release(): Promise<void> {
    this.#isOn = false;
    await this.#underWay;
    if (!this.#hasStopped) return;
    const { qmp, patienceMs: timeoutMs } = this.options;
    await qmp()?.execute('cont', undefined, { timeoutMs });
    this.#hasStopped = false;
  }

  /** Until it stands still. Nobody else comes back to a QEMU that hangs now, and runs later. */
  async #keepStopping(qmp: QmpClient): Promise<void> {
    for (let hasFailed = false; this.#isOn && qmp.state === 'open';) {
      const before = this.#resumes;
      try {
        const { running, status } = await this.#stop(qmp);
        if (running || status === 'paused') this.#hasStopped = true;
        if (running) this.options.onStopped();
        if (this.#resumes !== before) continue;
        this.#isStill = true;
        return;
      } catch (error) {
        if (!hasFailed) this.options.onTrouble(error);
        hasFailed = true;
        await sleep(this.options.patienceMs, undefined, { ref: false });
      }
    }
  }

  /** Whoever started this QEMU may continue its guest after us. */
  #attend(qmp: QmpClient): void {
    if (this.#attended === qmp) return;
    this.#attended = qmp;
    this.#hasStopped = false;
    this.#isStill = false;
    qmp.onEvent('RESUME', () => {
      this.#resumes++;
      this.#isStill = false;
      if (this.#isOn) this.stopGuest();
    });
  }

  /** @returns how it was. @throws QmpError if QEMU does not answer though its links are cut */
  async #stop(qmp: QmpClient): Promise<StatusInfo> {
    const { cut, patienceMs } = this.options;
    try {
      return await stop(qmp, patienceMs);
    } catch {
      // If this fails, too, the second try says why.
      await cut().catch(() => undefined);
      return stop(qmp, patienceMs);
    }
  }
}

async function stop(qmp: QmpClient, timeoutMs: number): Promise<StatusInfo> {
  const found = await qmp.execute('query-status', undefined, { timeoutMs });
  if (found.running) await qmp.execute('stop', undefined, { timeoutMs });
  return found;
}
