import { setTimeout as sleep } from 'node:timers/promises';
import {
  GannetError,
  type MethodParams,
  type PrimaryConfig,
  type PrimaryStatus,
  type Reporter,
  type VerifyReport,
} from '@gannet/contract';
import type { DiskLink } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { History } from '../history.js';
import type { PeerLink } from '../peer/peer-link.js';
import { askedReplica } from './audit-questions.js';
import { openOwnDisks } from './own-disk-reader.js';
import { VerifyRun } from './verify-run.js';

const HOUR_MS = 3_600_000;
/** A timer of Node.js takes no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface VerifierOptions {
  readonly config: () => PrimaryConfig;
  readonly links: readonly DiskLink[];
  readonly history: Pick<History, 'add' | 'operate'>;
  readonly link: () => PeerLink;
  /** While the VM is protected; else undefined. */
  readonly qmp: () => QmpClient | undefined;
  /** Makes a checkpoint, and waits until it is committed. */
  readonly checkpoint: (signal: AbortSignal) => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

/** A comparison that is under way. */
interface Running {
  readonly run: VerifyRun;
  readonly abort: AbortController;
  readonly ended: Promise<VerifyReport>;
}

/** Compares the replica with the primary's disks: on request, and by a timer if configured. */
export class Verifier {
  #running: Running | 'opening' | undefined;
  #last: PrimaryStatus['lastVerify'];
  #timer: NodeJS.Timeout | undefined;
  #idle: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: VerifierOptions) {}

  /** For the status. */
  get view(): Pick<PrimaryStatus, 'verifying' | 'lastVerify'> {
    const running = typeof this.#running === 'object' ? this.#running : undefined;
    return {
      ...(running && { verifying: running.run.progress }),
      ...(this.#last && { lastVerify: this.#last }),
    };
  }

  /** The VM is protected, or not any more: then a comparison that is under way ends. */
  protects(isProtected: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (isProtected) this.#plan();
    else if (typeof this.#running === 'object') this.#running.abort.abort(this.#notProtected());
  }

  async close(): Promise<void> {
    this.protects(false);
    await this.#idle;
  }

  /**
   * @throws GannetError GANNET_REFUSED if the VM is not protected, or the protection ends meanwhile
   * @throws GannetError GANNET_BUSY if one is under way
   */
  async verify(
    { repair = false, bytesPerSec, stop = false }: MethodParams<'verify'>,
    progress: Reporter<'verify'> = () => undefined,
  ): Promise<VerifyReport> {
    if (stop) return this.#stop();
    if (this.#running) throw this.#busy();
    const qmp = this.options.qmp();
    if (!qmp) throw this.#notProtected();
    this.#running = 'opening';
    const work = this.#carryOut(qmp, repair, bytesPerSec, progress).finally(() => {
      this.#running = undefined;
      if (this.options.qmp()) this.#plan();
    });
    this.#idle = work.catch(() => undefined);
    return work;
  }

  async #stop(): Promise<VerifyReport> {
    if (typeof this.#running !== 'object') throw this.#noneUnderWay();
    this.#running.run.stop();
    return this.#running.ended;
  }

  async #carryOut(
    qmp: QmpClient,
    isRepair: boolean,
    bytesPerSec: number | undefined,
    onProgress: Reporter<'verify'>,
  ): Promise<VerifyReport> {
    const { config, links, history, link } = this.options;
    const abort = new AbortController();
    const own = await openOwnDisks(qmp, links, config());
    try {
      const run: VerifyRun = new VerifyRun({
        ...{ disks: own.disks, isRepair, onProgress, signal: abort.signal },
        replica: askedReplica((question) => link().ask(question)),
        bytesPerSec: bytesPerSec ?? config().primary.verify?.bytesPerSec ?? 0,
        checkpointAfter: async (epoch) => {
          await this.#checkpointAfter(epoch, abort.signal);
          // A sign of life for whoever waits.
          onProgress(run.progress);
        },
        now: () => performance.now(),
        sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
        onWrong: (place) => history.add('replica-differs', place),
        onTooMuch: (wrongBytes) => this.options.onTrouble(this.#tooMuch(wrongBytes)),
      });
      if (!this.options.qmp()) throw this.#notProtected();
      const ended = run.run();
      this.#running = { run, abort, ended };
      return await this.#reported(run, ended, abort.signal);
    } finally {
      // With the QEMU, its export is gone too.
      await own
        .close()
        .catch((error: unknown) => this.options.qmp() && this.options.onTrouble(error));
    }
  }

  async #reported(
    run: VerifyRun,
    ended: Promise<VerifyReport>,
    signal: AbortSignal,
  ): Promise<VerifyReport> {
    try {
      await ended;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      const { summary } = run;
      // One that ended early does not take back what is known to be wrong.
      const isNews = summary.isWhole || leftWrong(summary) >= leftWrong(this.#last);
      if (isNews) this.#last = { ...summary, at: new Date().toISOString() };
      this.options.history.add('verified', summary);
    }
    return run.report;
  }

  /**
   * With COLO both guests stand still until the commit. `vsmr` lets the primary run on before: only
   * the checkpoint after that one began later than whatever is committed now.
   */
  async #checkpointAfter(epoch: number, signal: AbortSignal): Promise<void> {
    const { config, link, checkpoint } = this.options;
    const target = epoch + (config().engine === 'vsmr' ? 2 : 1);
    const { stageTimeoutMs } = config().primary;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(stageTimeoutMs)]);
    while ((link().peer?.status.epoch ?? 0) < target) {
      signal.throwIfAborted();
      await checkpoint(limited);
    }
  }

  #plan(): void {
    clearTimeout(this.#timer);
    const { verify } = this.options.config().primary;
    if (!verify) return;
    const ms = Math.min(TIMER_MS_MAX, verify.everyHours * HOUR_MS);
    this.#timer = setTimeout(() => void this.#byTimer(), ms).unref();
  }

  async #byTimer(): Promise<void> {
    const { history, onTrouble } = this.options;
    if (this.#running) return;
    const work = (): Promise<VerifyReport> => this.verify({});
    await history.operate('verify', 'this daemon, by `primary.verify`', work).catch(onTrouble);
  }

  #notProtected(): GannetError {
    const { vm } = this.options.config();
    return new GannetError(
      'GANNET_REFUSED',
      `${vm} is not protected: there is no replica to compare`,
      `Protect it first: \`gannet protect ${vm}\`.`,
      'refused',
    );
  }

  #busy(): GannetError {
    const { vm } = this.options.config();
    const remedy =
      `\`gannet status ${vm} --json\` shows how far it is, ` +
      `\`gannet verify ${vm} --stop\` ends it.`;
    return new GannetError('GANNET_BUSY', `${vm} is being verified`, remedy, 'refused');
  }

  #noneUnderWay(): GannetError {
    const { vm } = this.options.config();
    const remedy = `To begin one, run \`gannet verify ${vm}\`.`;
    return new GannetError('GANNET_REFUSED', `${vm} is not being verified`, remedy, 'refused');
  }

  #tooMuch(wrongBytes: number): GannetError {
    const { vm } = this.options.config();
    return new GannetError(
      'GANNET_STAGE_FAILED',
      `verify: ${wrongBytes} bytes of the replica are wrong; the rest is not compared`,
      'So much is no fault of single places. Check the storage of the replica on the secondary ' +
        `host, and copy the disks again: \`gannet detach ${vm}\`, restart the daemon and the ` +
        `QEMU of the secondary, then \`gannet protect ${vm}\`.`,
    );
  }
}

/** What a comparison has found, and not repaired. */
function leftWrong(report: Pick<VerifyReport, 'wrongBytes' | 'repairedBytes'> | undefined): number {
  return report ? report.wrongBytes - report.repairedBytes : 0;
}
