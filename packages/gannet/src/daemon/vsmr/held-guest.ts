/** The guest of a primary, as its engine stops it and lets it go. */
import type { Spoilt } from '@gannet/vsmr';
import type { QmpClient } from 'qemu-qmp-client';

/**
 * An object in QEMU that says that the guest was stopped for good, for the secondary to take over.
 * It tells the next process, and ends with this QEMU. A throttle group without limits does nothing.
 */
const HALT_MARK = 'gannet-halted';
/** `stop` waits until all requests of the guest's disks are done. */
const STOP_TIMEOUT_MS = 30_000;

const HALTED: Spoilt = { reason: 'the guest was stopped for good meanwhile', hasRun: false };
const CONTINUED: Spoilt = {
  reason: 'somebody has continued the guest during a checkpoint',
  hasRun: true,
};

/**
 * Whoever stops a guest continues it, and nobody else: one that was stopped before, by an operator
 * for example, stays stopped. One that may not run on this host is not continued either.
 */
export class HeldGuest {
  /** It was stopped here, or will have been: a `stop` counts from when it is asked for. */
  #isOurs = false;
  /** QEMU has not answered the last `stop`: it may come late. */
  #isStopOpen = false;
  /** A checkpoint relies on it to stand still. */
  #isHeld = false;
  #isHalted = false;
  #hasRun = false;

  /** @param mayRun whether the guest may run on this host, as far as is known now */
  constructor(
    private readonly qmp: QmpClient,
    private readonly mayRun: () => boolean,
  ) {
    qmp.onEvent('RESUME', () => (this.#hasRun ||= this.#isHeld));
  }

  get isHalted(): boolean {
    return this.#isHalted;
  }

  /** Of a checkpoint since pause(); undefined if it counts. */
  get spoilt(): Spoilt | undefined {
    if (this.#hasRun) return CONTINUED;
    return this.#isHalted ? HALTED : undefined;
  }

  /** For a new pair: whatever was before does not count. @throws QmpError */
  async begin(): Promise<void> {
    this.#isHalted = false;
    await this.#unmark();
  }

  /**
   * Finds out what an earlier process has left. Changes nothing in QEMU.
   *
   * @throws QmpError
   */
  async adopt(): Promise<void> {
    const [{ status }, isHalted] = await Promise.all([
      this.qmp.execute('query-status'),
      isHaltMarked(this.qmp),
    ]);
    this.#isHalted = isHalted;
    this.#isOurs = isHalted || status === 'paused';
  }

  /** Resolves when no request of its disks is under way. @throws QmpError */
  async pause(): Promise<void> {
    this.#hasRun = false;
    const { running } = await this.qmp.execute('query-status');
    this.#isOurs ||= running;
    this.#isHeld = true;
    await this.#stop();
  }

  /** Lets it run, if it was stopped here and may run. @throws QmpError */
  async resume(): Promise<void> {
    const wasHeld = this.#isHeld;
    const mayRun = this.#isOurs && !this.#isHalted && this.mayRun();
    // QEMU takes both in this order: the answer is how it was before.
    const asked = this.qmp.execute('query-status');
    const continued = mayRun ? this.qmp.execute('cont') : undefined;
    this.#isHeld = false;
    const [{ running }] = await Promise.all([asked, continued]);
    if (mayRun) this.#isOurs = false;
    this.#hasRun ||= wasHeld && running;
  }

  /** Stops it for good; sends at once. @throws QmpError */
  async halt(): Promise<void> {
    this.#isHalted = true;
    this.#isOurs = true;
    const stopped = this.#stop();
    const mark = { 'qom-type': 'throttle-group', id: HALT_MARK } as const;
    // It may be there already.
    const marked = this.qmp.execute('object-add', mark).catch(() => undefined);
    await Promise.all([stopped, marked]);
  }

  /** From now on resume() continues a halted guest, too, if it may run. */
  async unhalt(): Promise<void> {
    this.#isHalted = false;
    await this.#unmark();
  }

  /**
   * It runs on its own from now on, if it may run. A `stop` that nobody waits for any more may come
   * late, so it is looked at once more.
   *
   * @throws QmpError
   */
  async release(): Promise<void> {
    await this.resume();
    if (!this.#isStopOpen || !this.mayRun()) return;
    const { status } = await this.qmp.execute('query-status');
    if (status === 'paused') await this.qmp.execute('cont');
    this.#isStopOpen = false;
  }

  async #stop(): Promise<void> {
    this.#isStopOpen = true;
    await this.qmp.execute('stop', {}, { timeoutMs: STOP_TIMEOUT_MS });
    this.#isStopOpen = false;
  }

  /** QEMU refuses where there is none. */
  async #unmark(): Promise<void> {
    await this.qmp.execute('object-del', { id: HALT_MARK }).catch(() => undefined);
  }
}

/** Whether the guest was stopped for good, by this process or an earlier one. @throws QmpError */
export async function isHaltMarked(qmp: QmpClient): Promise<boolean> {
  const objects = await qmp.execute('qom-list', { path: '/objects' });
  return objects.some(({ name }) => name === HALT_MARK);
}
