import { randomUUID } from 'node:crypto';
import { compareMemory, type DiskLink, type Finding, type PrimaryDriver } from '@gannet/qmp-driver';
import {
  describeError,
  type Engine,
  type ProtectStage,
  type Reporter,
  GannetError,
  type PeerStatus,
  type PrimaryConfig,
  type SeedsView,
  type TermRecord,
} from '@gannet/contract';
import type { History } from '../history.js';
import { reportTrouble, type TroubleDetails } from '../role-context.js';
import { alone, BLANK, inStep, isOneVm, type NextRecord, opened } from '../arbitration/records.js';
import type { PeerLink } from '../peer/peer-link.js';
import { secondCopy } from '../refusals.js';
import type { Resync } from '../resync/resync.js';
import type { TermStore } from '../terms/term-store.js';
import type { LinkTls } from '../vm/link-tls.js';
import { outgoingOf } from '../../inspect/disk-links.js';
import { memoryFileFindings } from '../../inspect/memory-file.js';
import type { SideReport } from '../../inspect/side-report.js';
import { awaitPeer, type PeerTrouble, troubleOf } from './await-peer.js';
import { memoryTo, SeedStage } from './seed-stage.js';

export interface ProtectOptions {
  readonly driver: PrimaryDriver;
  readonly links: readonly DiskLink[];
  readonly link: PeerLink;
  readonly tls: LinkTls;
  readonly history: History;
  readonly terms: TermStore;
  readonly resync: Pick<Resync, 'plan' | 'update' | 'updateFailed'>;
  readonly progress: Reporter<'protect'>;
  /** Speed limit in place of the configured one; undefined for that. */
  readonly bytesPerSec: number | undefined;
  /** A reload may change the period while the disks are copied. */
  readonly config: () => PrimaryConfig;
  /** What `gannet check` reads of the primary and of the secondary. */
  readonly askBoth: () => Promise<readonly [SideReport, unknown]>;
  readonly onStage: (stage: ProtectStage) => void;
  readonly checkpoint: (signal: AbortSignal) => Promise<void>;
}

/** In these a lost secondary takes nothing with it that is not there again when it comes back. */
const PATIENT: ReadonlySet<string> = new Set(['check', 'seed']);

/** One protect(): copies the disks, starts checkpoints, waits for the first; or rolls back. */
export class ProtectRun {
  readonly #cancel = new AbortController();
  #seed: SeedStage | undefined;
  #stage: ProtectStage = 'check';
  #isLost = false;

  constructor(private readonly options: ProtectOptions) {}

  get seedView(): SeedsView | undefined {
    return this.#seed?.view;
  }

  /** @returns false if no copy is under way */
  async setRate(bytesPerSec: number): Promise<boolean> {
    await this.#seed?.setRate(bytesPerSec);
    return this.#seed !== undefined;
  }

  /** The stage under way fails with this reason, and everything is rolled back. */
  cancel(reason: GannetError): void {
    this.#cancel.abort(reason);
  }

  /**
   * The secondary is silent, or the primary's QEMU hangs, most likely on it. While the disks are
   * copied, the links are cut and connected again later. After that nothing would end the wait:
   * each write of the guest waits for the copy.
   */
  async lose(reason: string): Promise<void> {
    if (this.#stage === 'seed') return this.#seed?.cut();
    if (PATIENT.has(this.#stage)) return;
    this.#isLost = true;
    this.cancel(lost(reason));
    await this.options.driver.cutLinks(this.options.config().peer.lowMs);
  }

  /**
   * @throws GannetError GANNET_STAGE_FAILED that names the stage, the cause and what to do;
   *   everything has been rolled back by then
   */
  async run(): Promise<void> {
    try {
      await this.#stages();
    } catch (cause) {
      const stage = this.#stage;
      const reason = reasonOf(cause, this.#cancel.signal);
      this.#trouble(reason, { stage });
      throw stageFailed(stage, reason, await this.#rollBack());
    }
  }

  async #stages(): Promise<void> {
    const { driver, links, config, tls, progress } = this.options;
    const { stageTimeoutMs, seedTimeoutMs } = config().primary;
    await this.#run('check', stageTimeoutMs, (signal) => this.#check(signal));
    await this.#run('seed', seedTimeoutMs, async (signal) => {
      await tls.put();
      const plan = await this.options.resync.plan();
      this.#seed = new SeedStage({ ...this.options, config: config(), plan });
      return this.#seed.run(signal).finally(() => (this.#seed = undefined));
    });
    await this.#run('attach', stageTimeoutMs, () => driver.attach(links));
    let periodMs = config().primary.checkpointPeriodMs;
    const { engine } = config();
    await this.#run(engine, seedTimeoutMs, (signal) => {
      periodMs = config().primary.checkpointPeriodMs;
      const memory = memoryTo(progress, engine);
      const times = { periodMs, timeoutMs: seedTimeoutMs };
      return driver.start({ ...outgoingOf(config()), ...times, ...memory, signal });
    });
    await this.#run('first checkpoint', stageTimeoutMs, (signal) =>
      this.#awaitPeer(signal, 'the first checkpoint', (peer) => this.#isInStep(peer)),
    );
    await this.#run('finish', stageTimeoutMs, () => driver.finishSeed());
    if (config().network.length > 0) {
      // Of the packets before this checkpoint, the secondary has not seen all.
      await this.#run('network', stageTimeoutMs, (signal) => this.options.checkpoint(signal));
    }
    // From here on, a reload sets the period itself.
    while (config().primary.checkpointPeriodMs !== periodMs) {
      periodMs = config().primary.checkpointPeriodMs;
      await driver.setPeriod(periodMs);
    }
    // The secondary takes over only if it has heard this.
    await this.options.terms.update((own) => {
      return own.word === 'alone' ? inStep(own, config().fence !== undefined) : undefined;
    });
  }

  /** It has its first checkpoint, and has written that it is in step. */
  #isInStep({ state, record }: PeerStatus): boolean {
    const { term, lineage } = this.options.terms.record;
    const isSame = record.term === term && record.lineage === lineage;
    return state === 'protected' && record.word === 'protected' && isSame;
  }

  /** A term that neither side has seen, so that no older replica is in step with this one. */
  async #openTerm(): Promise<void> {
    const { terms, link } = this.options;
    const peer = link.peer?.status.record ?? BLANK;
    if (!isOneVm(terms.record, peer)) throw foreignReplica(terms.record.lineage, peer.lineage);
    await terms.update((own) => {
      if (own.word === 'outdated') throw secondCopy(this.options.config().vm);
      return opened(own, peer, randomUUID());
    });
  }

  async #run(
    stage: ProtectStage,
    timeoutMs: number,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { onStage, progress, history, link } = this.options;
    this.#stage = stage;
    onStage(stage);
    progress({ stage });
    this.#cancel.signal.throwIfAborted();
    if (!PATIENT.has(stage) && link.state === 'lost') throw lost('the secondary is silent');
    await work(AbortSignal.any([this.#cancel.signal, AbortSignal.timeout(timeoutMs)]));
    // Where the work takes no signal, its end comes with that of the links it waited for.
    this.#cancel.signal.throwIfAborted();
    history.add('stage-done', { stage });
  }

  async #check(signal: AbortSignal): Promise<void> {
    await expectLinkable(this.options.driver, this.options.links);
    const isReady = ({ state, vm }: PeerStatus): boolean => state === 'seeding' && vm === 'ready';
    await this.#awaitPeer(signal, 'the secondary daemon and its VM', isReady);
    this.#expectSameEngine();
    await this.#expectSameMemory();
    await this.#openTerm();
  }

  /** A daemon that does not say it has COLO. */
  #expectSameEngine(): void {
    const { link, config } = this.options;
    const { engine } = config();
    const other = link.peer?.status.about?.engine ?? 'colo';
    if (other !== engine) throw otherEngine(engine, other);
  }

  /**
   * QEMU finds out only when it loads the guest, after the disks have been copied for hours. A
   * secondary that does not answer now leaves it to QEMU.
   */
  async #expectSameMemory(): Promise<void> {
    const reports = await this.options.askBoth().catch(() => undefined);
    if (!reports) return;
    const [own, other] = reports as [SideReport, SideReport];
    if (!own.report || !other.report) return;
    const one = this.options.config().engine === 'vsmr' ? memoryFileFindings(own, other) : [];
    expectNoError([...compareMemory(own.report, other.report), ...one]);
  }

  #awaitPeer(
    signal: AbortSignal,
    what: string,
    isThere: (status: PeerStatus) => boolean,
  ): Promise<void> {
    const { vm, primary, peer } = this.options.config();
    const { link } = this.options;
    const asked = this.#cancel.signal;
    return awaitPeer({ ...peer, vm, link, address: primary.peer, what, isThere, signal, asked });
  }

  /**
   * Nothing has been changed before the check is done.
   *
   * @returns what is wrong with the secondary, if it says so
   */
  async #rollBack(): Promise<PeerTrouble | undefined> {
    if (this.#stage === 'check') return undefined;
    const { driver, tls, link, config, terms } = this.options;
    // Before the guest goes on without it: a replica that is in step by now is outdated.
    const { term } = terms.record;
    const change = (own: TermRecord): NextRecord | undefined =>
      own.word === 'alone' && own.term === term ? alone(own, null) : undefined;
    await terms.insist('rollback', change, (error) => {
      this.#trouble(error, { stage: 'rollback' });
    }).tried;
    await driver.rollback().catch((error: unknown) => {
      this.#trouble(error, { stage: 'rollback' });
    });
    await tls.drop();
    // Whoever has asked for the end wants no other reason.
    if (this.#cancel.signal.aborted && !this.#isLost) return undefined;
    return troubleOf(link, config().peer.heartbeatMs);
  }

  #trouble(error: unknown, details?: TroubleDetails): void {
    reportTrouble(this.options.history, error, details);
  }
}

function otherEngine(own: Engine, other: Engine): GannetError {
  return new GannetError(
    'GANNET_NOT_READY',
    `\`engine\` is ${own} here, and ${other} on the secondary`,
    'Set `engine` to the same in both configurations, and restart the daemon that you change.',
  );
}

function foreignReplica(own: string | null, other: string | null): GannetError {
  return new GannetError(
    'GANNET_NOT_READY',
    `the secondary has a copy of another VM: lineage ${other}, and this VM has ${own}`,
    'Check `primary.peer`. If that copy is not needed any more, restart the secondary: ' +
      'its daemon with --overwrite, then its QEMU.',
  );
}

/** @throws GannetError GANNET_NOT_READY with all that is in the way */
async function expectLinkable(driver: PrimaryDriver, links: readonly DiskLink[]): Promise<void> {
  expectNoError(await driver.preflight(links));
}

/** @throws GannetError GANNET_NOT_READY */
function expectNoError(findings: readonly Finding[]): void {
  const bad = findings.filter(({ severity }) => severity === 'error');
  if (bad.length === 0) return;
  const message = bad.map((finding) => finding.message).join('; ');
  const remedies = [...new Set(bad.map(({ remedy }) => remedy))];
  throw new GannetError('GANNET_NOT_READY', message, remedies.join(' '));
}

/** That a step was aborted says nothing: why does. */
function reasonOf(error: unknown, asked: AbortSignal): unknown {
  const isAborted = asked.aborted && describeError(error).code === 'DRIVER_ABORTED';
  return isAborted ? asked.reason : error;
}

function lost(reason: string): GannetError {
  const remedy = 'Check the secondary host and the network between the hosts, then protect again.';
  return new GannetError('GANNET_NOT_READY', reason, remedy);
}

/**
 * A stage of `protect` that failed, as the operator is told.
 *
 * @param peer what is the matter with the other side
 */
function stageFailed(stage: string, cause: unknown, peer?: PeerTrouble): GannetError {
  const { message, remedy } = describeError(cause);
  const isSaid = peer === undefined || message.includes(peer.says);
  const words = isSaid ? message : `${message}; the secondary says: ${peer.says}`;
  const hasRunOut = isTimeout(cause);
  const exit = hasRunOut ? 'timeout' : 'failed';
  // That its QEMU has ended is a consequence, where time ran out.
  const advice = hasRunOut ? remedy : (peer?.remedy ?? remedy);
  return new GannetError('GANNET_STAGE_FAILED', `stage ${stage}: ${words}`, advice, exit, {
    cause,
  });
}

/** Of what was asked, or of the whole stage. */
function isTimeout(cause: unknown): boolean {
  const { name } = ((cause as Error | undefined)?.cause ?? {}) as { name?: unknown };
  return describeError(cause).exit === 'timeout' || name === 'TimeoutError';
}
