import type { QmpClient } from 'qemu-qmp-client';

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

/** Keeps a guest stopped that may not run, until it is released. */
export class GuestGuard {
  #isOn = false;
  #hasStopped = false;
  #underWay: Promise<void> | undefined;
  #attended: QmpClient | undefined;

  constructor(private readonly options: GuestGuardOptions) {}

  /** To be called again at each occasion: a checkpoint that ends late may continue the guest. */
  stopGuest(): void {
    this.#isOn = true;
    const qmp = this.options.qmp();
    if (this.#underWay || qmp?.state !== 'open') return;
    this.#attend(qmp);
    this.#underWay = this.#stop(qmp)
      .then((hasRun) => {
        if (!hasRun) return;
        this.#hasStopped = true;
        this.options.onStopped();
      })
      .catch(this.options.onTrouble)
      .finally(() => (this.#underWay = undefined));
  }

  /** The guest may run: continues it if it was stopped here. @throws QmpError */
  async release(): Promise<void> {
    this.#isOn = false;
    await this.#underWay;
    if (!this.#hasStopped) return;
    this.#hasStopped = false;
    const { qmp, patienceMs: timeoutMs } = this.options;
    await qmp()?.execute('cont', undefined, { timeoutMs });
  }

  /** Whoever started this QEMU may continue its guest after us. */
  #attend(qmp: QmpClient): void {
    if (this.#attended === qmp) return;
    this.#attended = qmp;
    this.#hasStopped = false;
    qmp.onEvent('RESUME', () => {
      if (this.#isOn) this.stopGuest();
    });
  }

  /** @returns whether it ran. @throws QmpError if QEMU does not answer though its links are cut */
  async #stop(qmp: QmpClient): Promise<boolean> {
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

async function stop(qmp: QmpClient, timeoutMs: number): Promise<boolean> {
  const { running } = await qmp.execute('query-status', undefined, { timeoutMs });
  if (running) await qmp.execute('stop', undefined, { timeoutMs });
  return running;
}
