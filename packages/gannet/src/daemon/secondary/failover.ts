import { stat } from 'node:fs/promises';
import type { ExternalSource } from '@gannet/checkpointer';
import type { SecondaryDriver } from '@gannet/qmp-driver';
import type { Replica } from '@gannet/replicator';
import {
  describeError,
  FAILOVER_EVIDENCE,
  type FailoverEvidence,
  type FailoverProgress,
  type Reporter,
  type FailoverReport,
  GannetError,
  hasTakenOver,
  type PeerStatus,
  type SecondaryConfig,
} from '@gannet/contract';
import type { PeerLink } from '../peer/peer-link.js';
import { runFence } from '../fence.js';
import type { RoleContext } from '../role-context.js';
import { withTimeout } from '../with-timeout.js';

const FAILOVER_TIMEOUT_MS = 60_000;
/** Times `highMs`: silence of the primary after which it is fenced. */
const PATIENCE = 2;
const REPORT_EVERY_MS = 250;

/** What a secondary knows; parts of it come and go. */
export interface FailoverContext {
  readonly stage: RoleContext;
  readonly replica: Replica;
  readonly config: () => SecondaryConfig;
  readonly peer: () => PeerLink | undefined;
  readonly driver: () => SecondaryDriver | undefined;
  /** Why COLO has ended, once it has. */
  readonly coloExit: () => string | undefined;
  /** The VM that would take over. */
  readonly vm: () => PeerStatus['vm'];
  /** How long ago the last commit was, which is a sign of life of the primary. */
  readonly commitAgeMs: () => number;
  /** Fails over where checkpoints come by call. */
  readonly source: ExternalSource;
}

/**
 * Decides when a secondary takes over, and sees it through to its local disks.
 *
 * It takes over only when the primary is known to be dead: by the word of the primary's own daemon that its QEMU has
 * ended, by a fence command that exited with 0, or by an operator's --force. Silence proves nothing.
 */
export class FailoverController {
  #failover: Promise<FailoverReport> | undefined;
  #isFencing = false;
  /** Its guest's packets take the way through this host. */
  #isOpen = false;
  #isMoved = false;
  #patience: NodeJS.Timeout | undefined;
  #resumed: (() => void) | undefined;
  /** All who have asked for the failover that is under way. */
  readonly #listeners = new Set<Reporter<'failover'>>();

  constructor(private readonly context: FailoverContext) {}

  /**
   * The secondary takes over, and moves to its local files. Asking again gives the same answer.
   *
   * @param progress hears the stages `fence` where there is one, `take over`, `journal`, `write back` with its bytes, and `local disks`
   * @throws GannetError GANNET_REFUSED without proof that the primary is dead, unless forced
   */
  failOver(
    force: boolean,
    progress: Reporter<'failover'> = () => undefined,
  ): Promise<FailoverReport> {
    this.#listeners.add(progress);
    this.#failover ??= this.#prove(force)
      .then((evidence) => this.#run(evidence))
      .catch((error: unknown) => {
        this.#failover = undefined;
        throw error;
      });
    return this.#failover.finally(() => this.#listeners.delete(progress));
  }

  /** The replica has failed over with its VM, or has diverged. */
  resumed(): void {
    this.#resumed?.();
  }

  /** Something has changed: where failover is automatic, and everything says that the primary is gone, fences it. */
  consider(): void {
    const { config, replica, stage, vm: own } = this.context;
    const { fence, vm, secondary } = config();
    if (secondary.failover !== 'automatic' || !fence || this.#isFencing || this.#failover) return;
    if (!replica.mayFailOver || own() === 'lost' || !this.#isGone()) return;
    this.#isFencing = true;
    void runFence(fence, vm, 'primary')
      .then(async ({ succeeded, words }) => {
        stage.history.add('fence', { target: 'primary', succeeded, words });
        if (succeeded) await this.failOver(true);
      })
      .catch((error: unknown) => {
        const { code, message, remedy } = describeError(error);
        stage.history.add('trouble', { code, message, remedy });
      })
      .finally(() => (this.#isFencing = false));
  }

  /** Looks no more by itself. */
  close(): void {
    clearTimeout(this.#patience);
  }

  /**
   * The word of the primary's daemon counts at once. Silence counts when it has lasted twice as long as a primary takes
   * to give its secondary up: one that lives on behind a cut network has had its secondary fenced by then. Were both to
   * act at the same time, each would have the other killed.
   */
  #isGone(): boolean {
    const link = this.context.peer();
    const word = link?.peer?.status.vm;
    if (word === 'lost' || word === 'hung') return true;
    if (link?.state !== 'lost') return false;
    const silentMs = Math.min(link.peer?.silentMs ?? 0, this.context.commitAgeMs());
    const leftMs = PATIENCE * this.context.config().peer.highMs - silentMs;
    if (leftMs <= 0) return true;
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.consider(), leftMs);
    return false;
  }

  /** @returns why the primary is taken to be dead */
  async #prove(force: boolean): Promise<FailoverEvidence> {
    const { replica, stage, coloExit } = this.context;
    const { vm, fence } = this.context.config();
    if (hasTakenOver(replica.state)) return FAILOVER_EVIDENCE.earlier;
    if (!replica.mayFailOver) {
      throw new GannetError(
        'GANNET_REFUSED',
        `${vm} can't fail over: the replica is ${replica.state} (${replica.reason})`,
        replica.state === 'diverged' ? 'Seed it again.' : 'It can once it is protected.',
        'refused',
      );
    }
    // Before a fence kills the only guest that is left.
    if (this.context.vm() === 'lost') {
      const message = `${vm} can't fail over: the secondary VM has ended`;
      throw new GannetError('GANNET_REFUSED', message, 'Start a secondary anew.', 'refused');
    }
    if (force) return FAILOVER_EVIDENCE.operator;
    const link = this.context.peer();
    const peer = link?.state === 'up' ? link.peer?.status : undefined;
    if (peer?.vm === 'lost' && peer.state === 'protected') {
      return FAILOVER_EVIDENCE.proof;
    }
    const looksGone = replica.link.loss !== undefined || coloExit() !== undefined;
    if (fence && (looksGone || link?.state === 'lost')) {
      this.#tell({ stage: 'fence' });
      const { succeeded, words } = await runFence(fence, vm, 'primary');
      stage.history.add('fence', { target: 'primary', succeeded, words });
      if (succeeded) return FAILOVER_EVIDENCE.fence;
    }
    throw new GannetError(
      'GANNET_REFUSED',
      `nothing proves that the primary of ${vm} is dead`,
      'Two running copies destroy each other: make sure that its QEMU has ended, then say --force.',
      'refused',
    );
  }

  /** A failover that failed half way goes on where it stood when it is asked for again. */
  async #run(evidence: FailoverEvidence): Promise<FailoverReport> {
    const { replica, stage, peer } = this.context;
    const startMs = performance.now();
    const since = (): number => Math.round(performance.now() - startMs);
    stage.history.add('failover-begins', { evidence });
    this.#tell({ stage: 'take over' });
    if (replica.state === 'protected') await this.#takeOver();
    const takenOverMs = since();
    // At once: clients wait. What the guest calls durable waits for the journal all the same.
    const networkError = await this.#openNetwork();
    this.#tell({ stage: 'journal' });
    if (replica.state === 'failed-over') await replica.failoverDurable();
    const durableMs = since();
    stage.history.add('failover-durable');
    if (!this.#isMoved) await this.#moveToLocal();
    if (networkError !== undefined) throw networkError;
    const report = { epoch: replica.epoch, evidence, takenOverMs, durableMs, movedMs: since() };
    stage.history.add('failover-done', report);
    peer()?.beatNow();
    return report;
  }

  async #takeOver(): Promise<void> {
    const { config, replica, driver, source } = this.context;
    const resumed = new Promise<void>((resolve) => (this.#resumed = resolve));
    if (config().secondary.source === 'external') source.failOver();
    else await driver()?.failOver({ timeoutMs: FAILOVER_TIMEOUT_MS });
    await withTimeout(resumed, FAILOVER_TIMEOUT_MS, 'the secondary VM to resume');
    if (replica.state === 'failed-over') return;
    const message = `failover failed: ${replica.reason}`;
    throw new GannetError('GANNET_STAGE_FAILED', message, 'Seed again.');
  }

  /** A guest that nobody reaches must get to its disks all the same. @returns what went wrong */
  async #openNetwork(): Promise<Error | undefined> {
    const { config, driver, stage } = this.context;
    if (this.#isOpen || config().network.length === 0) return undefined;
    try {
      await driver()?.openNetwork();
      this.#isOpen = true;
      stage.history.add('network-open');
      return undefined;
    } catch (error) {
      const { code, message, remedy } = describeError(error);
      stage.history.add('trouble', { code, message, remedy });
      return error instanceof Error ? error : new Error(message);
    }
  }

  /** With an external source there is no VM of ours to move: the exports go on serving. */
  async #moveToLocal(): Promise<void> {
    const { config, replica, driver, stage } = this.context;
    const vm = driver();
    if (!vm) return;
    const disks = await Promise.all(
      config().disks.map(async ({ name, device, base = '', format }) => {
        const isBlockDevice = (await stat(base)).isBlockDevice();
        const kind = isBlockDevice ? ('host_device' as const) : ('file' as const);
        return { id: name, device, format, file: { driver: kind, filename: base } };
      }),
    );
    // While the guest runs: the more is in the bases already, the shorter it stands still.
    if (replica.state === 'failed-over') await this.#writeBack(() => replica.catchUp());
    this.#tell({ stage: 'local disks' });
    await vm.moveToLocal(disks, async () => {
      if (replica.state !== 'retired') await replica.settle();
    });
    this.#isMoved = true;
    stage.history.add('moved-to-local');
  }

  /** The guest goes on writing meanwhile, so that there may be more to do than there was. */
  async #writeBack(work: () => Promise<void>): Promise<void> {
    const left = (): number => {
      return this.context.replica.disks.reduce(
        (sum, { committedBytes }) => sum + committedBytes,
        0,
      );
    };
    let totalBytes = 0;
    const tell = (): void => {
      const leftBytes = left();
      totalBytes = Math.max(totalBytes, leftBytes);
      this.#tell({ stage: 'write back', doneBytes: totalBytes - leftBytes, totalBytes });
    };
    tell();
    const timer = setInterval(tell, REPORT_EVERY_MS);
    await work().finally(() => clearInterval(timer));
    tell();
  }

  #tell(report: FailoverProgress): void {
    for (const listener of this.#listeners) listener(report);
  }
}
