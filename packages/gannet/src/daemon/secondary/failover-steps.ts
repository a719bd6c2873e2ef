import { stat } from 'node:fs/promises';
import type { ExternalSource } from '@gannet/checkpointer';
import { type LocalDisk, MoveError, type SecondaryDriver } from '@gannet/qmp-driver';
import type { Replica } from '@gannet/replicator';
import {
  type EvidenceKind,
  GannetError,
  type Reporter,
  type SecondaryConfig,
} from '@gannet/contract';
import { takenOver } from '../arbitration/records.js';
import { type FenceOutcome, runFence } from '../fence.js';
import type { History } from '../history.js';
import { reportTrouble } from '../role-context.js';
import type { TermStore } from '../terms/term-store.js';
import { livenessOf } from '../vm/qemu-liveness.js';
import type { VmWatch } from '../vm/vm-watch.js';
import { withTimeout } from '../with-timeout.js';
import type { FailoverSteps } from './failover.js';
import type { TakeoverEngine } from './takeover-engine.js';

const FAILOVER_TIMEOUT_MS = 60_000;
const CONTINUE_TIMEOUT_MS = 10_000;
const REPORT_EVERY_MS = 250;

export interface FailoverTarget {
  readonly history: Pick<History, 'add'>;
  readonly replica: Replica;
  /** With which the replica has taken over, once it has. */
  readonly takeoverEpoch: () => number | undefined;
  readonly terms: TermStore;
  readonly vm: Pick<VmWatch, 'qmp'>;
  /** Fails over where checkpoints come by call. */
  readonly source: ExternalSource;
  readonly config: () => SecondaryConfig;
  /** Of the QEMU that is connected; none where checkpoints come by call. */
  readonly driver: () => SecondaryDriver | undefined;
  readonly engine: () => TakeoverEngine | undefined;
}

/** The steps of a failover on a real replica and its QEMU. Each remembers what it has done. */
export class SecondaryFailoverSteps implements FailoverSteps {
  #isNetworkOpen = false;
  #isMoved = false;
  /** The replica may have failed over, and the guest not run yet. */
  #isTakingOver = false;
  /** A move stopped the guest, and it has not been continued since. */
  #isGuestStopped = false;

  constructor(private readonly target: FailoverTarget) {}

  async fence(signal: AbortSignal): Promise<FenceOutcome> {
    const { fence, vm } = this.target.config();
    if (!fence) return { succeeded: false, words: 'no fence is configured' };
    return runFence(fence, { vm, target: 'primary', signal });
  }

  async claim(evidence: EvidenceKind): Promise<void> {
    const { terms, replica, config } = this.target;
    await terms.update((own) => {
      // In turn with what the primary's heartbeats make of this copy.
      if (own.word === 'taken-over') return undefined;
      if (own.word === 'protected' && replica.state === 'protected') {
        return takenOver(own, evidence);
      }
      throw new GannetError(
        'GANNET_REFUSED',
        `${config().vm} can't fail over: its copy is ${own.word} by now (term ${own.term})`,
        'The primary continues without it. Protect it again.',
        'refused',
      );
    });
  }

  async free(): Promise<boolean> {
    const { vm, engine, config } = this.target;
    const { lowMs } = config().peer;
    const cut = async (): Promise<void> => engine()?.cutLinks(lowMs);
    return (await livenessOf({ qmp: vm.qmp, patienceMs: lowMs, cut })) === 'responding';
  }

  async takeOver(): Promise<number> {
    const { replica, takeoverEpoch } = this.target;
    if (replica.state === 'protected' || this.#isTakingOver) await this.#takeOver();
    this.#isTakingOver = false;
    const epoch = takeoverEpoch();
    if (epoch !== undefined) return epoch;
    throw takeoverFailed(this.target.config().vm, replica.reason);
  }

  /** Resolves when the replica has failed over, or has given itself up. */
  async #takeOver(): Promise<void> {
    const { replica, config, source } = this.target;
    const settled = leavesProtected(replica);
    this.#isTakingOver = true;
    // It is stopped for this, and waits for all answers.
    replica.secondaryRuns(false);
    try {
      if (config().secondary.source === 'external') source.failOver();
      else await this.#engine.failOver({ timeoutMs: FAILOVER_TIMEOUT_MS });
      await withTimeout(settled.promise, FAILOVER_TIMEOUT_MS, 'the secondary VM to resume');
    } finally {
      settled.stop();
    }
  }

  async journal(): Promise<void> {
    const { replica } = this.target;
    if (replica.state === 'failed-over') await replica.failoverDurable();
  }

  async openNetwork(): Promise<void> {
    const { config, driver, history } = this.target;
    if (this.#isNetworkOpen || config().network.length === 0) return;
    await driver()?.openNetwork();
    this.#isNetworkOpen = true;
    history.add('network-open');
  }

  /** With an external source there is no VM of ours to move: the exports keep serving. */
  async move(progress: Reporter<'failover'>): Promise<void> {
    const { replica, driver, history } = this.target;
    if (!driver()) return;
    if (!this.#isMoved) {
      const disks = await this.#localDisks();
      // While the guest still runs, to shorten the pause below.
      if (replica.state === 'failed-over') {
        await this.#writeBack(() => replica.catchUp(), progress);
      }
      progress({ stage: 'local disks' });
      await this.#moveTo(disks);
      this.#isMoved = true;
      history.add('moved-to-local');
    }
    if (this.#isGuestStopped) await this.#continueGuest();
  }

  async #moveTo(disks: readonly LocalDisk[]): Promise<void> {
    const { replica } = this.target;
    try {
      const { guestStopped } = await this.#driver.moveToLocal(disks, async () => {
        if (replica.state !== 'retired') await replica.settle();
      });
      // The driver continues what it has stopped. One that was connected later does not know of it.
      this.#isGuestStopped &&= guestStopped;
    } catch (error) {
      if (!(error instanceof MoveError)) throw error;
      this.#isGuestStopped ||= error.guestStopped;
      if (error.code === 'DRIVER_MOVE_UNTIDY') this.#trouble(error);
      else throw await this.#afterFailedMove(error);
    }
  }

  /**
   * The guest runs on where the replica still serves its disks; elsewhere each of its I/Os would
   * fail.
   */
  async #afterFailedMove(error: MoveError): Promise<unknown> {
    if (!this.#isGuestStopped || error.code !== 'DRIVER_MOVE_UNDONE') return error;
    if (this.target.replica.state === 'failed-over') {
      try {
        await this.#continueGuest();
        return restated(error, again(this.target.config().vm));
      } catch (cause) {
        this.#trouble(cause);
        return error;
      }
    }
    return restated(error, `${DO_NOT_CONTINUE} ${again(this.target.config().vm)}`);
  }

  async #continueGuest(): Promise<void> {
    await this.target.vm.qmp?.execute('cont', undefined, { timeoutMs: CONTINUE_TIMEOUT_MS });
    this.#isGuestStopped = false;
  }

  #localDisks(): Promise<LocalDisk[]> {
    return Promise.all(
      this.target.config().disks.map(async ({ name, device, base = '', format }) => {
        const isBlockDevice = (await stat(base)).isBlockDevice();
        const driver = isBlockDevice ? ('host_device' as const) : ('file' as const);
        return { id: name, device, format, file: { driver, filename: base } };
      }),
    );
  }

  /** The guest keeps writing meanwhile, so that there may be more to do than at the start. */
  async #writeBack(work: () => Promise<void>, progress: Reporter<'failover'>): Promise<void> {
    const { disks } = this.target.replica;
    let totalBytes = 0;
    const report = (): void => {
      const leftBytes = disks.reduce((sum, { committedBytes }) => sum + committedBytes, 0);
      totalBytes = Math.max(totalBytes, leftBytes);
      progress({ stage: 'write back', doneBytes: totalBytes - leftBytes, totalBytes });
    };
    report();
    const timer = setInterval(report, REPORT_EVERY_MS);
    await work().finally(() => clearInterval(timer));
    report();
  }

  get #driver(): SecondaryDriver {
    return this.#expect(this.target.driver());
  }

  get #engine(): TakeoverEngine {
    return this.#expect(this.target.engine());
  }

  #expect<T>(part: T | undefined): T {
    if (part !== undefined) return part;
    const { vm } = this.target.config();
    throw new GannetError('GANNET_NOT_READY', `the QEMU of ${vm} is not connected`, again(vm));
  }

  #trouble(error: unknown): void {
    reportTrouble(this.target.history, error);
  }
}

/** The primary's copy yields to the claim of this side, which nothing came of. */
function takeoverFailed(vm: string, reason: string): GannetError {
  return new GannetError(
    'GANNET_STAGE_FAILED',
    `failover failed: ${reason}`,
    'This copy can never take over now. The disk of the primary host has all that the guest has ' +
      'written, unless that disk has failed: start its QEMU there, then run ' +
      `\`gannet failover ${vm} --force\` on the primary host.`,
  );
}

function again(vm: string): string {
  return `Remove the cause, then run \`gannet failover ${vm}\` again.`;
}
const DO_NOT_CONTINUE =
  'Leave the guest stopped: its disks are in the bases now, and nothing else serves them.';

function restated(error: MoveError, remedy: string): GannetError {
  return new GannetError('GANNET_STAGE_FAILED', error.message, remedy, 'failed', { cause: error });
}

/** Settles when the replica has failed over, or has given itself up. */
function leavesProtected(replica: Replica): { promise: Promise<void>; stop: () => void } {
  let stop = (): void => undefined;
  if (replica.state !== 'protected') return { promise: Promise.resolve(), stop };
  const promise = new Promise<void>((resolve) => {
    stop = replica.on((event) => {
      if (event.kind === 'state' && event.to !== 'protected') resolve();
    });
  });
  return { promise, stop };
}
