import {
  describeError,
  type EvidenceKind,
  FAILOVER_EVIDENCE,
  type FailoverEvidence,
  type FailoverProgress,
  type FailoverReport,
  type Reporter,
  GannetError,
} from '@gannet/contract';
import type { FenceOutcome } from '../fence.js';
import type { History } from '../history.js';
import { reportTrouble } from '../role-context.js';
import { Backoff } from '../arbitration/backoff.js';
import {
  type AutomaticStep,
  automaticStep,
  type Evidence,
  endedSurvivor,
  evidenceIn,
  type FailoverPolicy,
  isHandedOver,
  mayFence,
  notProven,
  type PairView,
  unfitness,
  wellPeer,
} from '../arbitration/may-take-over.js';
import {
  type FailoverEvent,
  type FailoverState,
  type FailoverStep,
  isStep,
  nextFailoverState,
} from './failover-state.js';

/** What a failover does to QEMU and the replica. Each is harmless when it has been done already. */
export interface FailoverSteps {
  /** Runs the fence command against the primary. */
  fence(signal: AbortSignal): Promise<FenceOutcome>;
  /**
   * Resolves when it is on stable storage that this side takes over.
   *
   * @throws GannetError GANNET_REFUSED if it must not any more; GANNET_CONFIG if the term file
   *   can't be written
   */
  claim(evidence: EvidenceKind): Promise<void>;
  /** Asks the own QEMU, and cuts its links if it hangs. @returns whether it answers */
  free(): Promise<boolean>;
  /** Resolves when the guest runs here, on the replica. @returns the epoch it continues from */
  takeOver(): Promise<number>;
  /** Resolves when a crash loses nothing that the guest had at the takeover. */
  journal(): Promise<void>;
  /** Resolves when the guest runs on its local disks. */
  move(progress: (report: FailoverProgress) => void): Promise<void>;
  /** Resolves when the guest's packets take the way through this host. */
  openNetwork(): Promise<void>;
}

export interface FailoverOptions {
  readonly history: Pick<History, 'add'> & Partial<Pick<History, 'operations'>>;
  readonly steps: FailoverSteps;
  readonly policy: () => FailoverPolicy;
  /** All that is known of the pair now; decisions are made on this value alone. */
  readonly look: () => PairView;
}

/** Who wants a failover: a person or program that asked for it, or `failover: automatic`. */
type Asker = 'caller' | 'policy';

type Done = Omit<FailoverReport, 'evidence'>;

/**
 * Decides when a secondary takes over, and sees it through to its local disks (failover-state.ts).
 *
 * It takes over only when the primary is known to be dead: by the word of the primary's own daemon
 * that its QEMU has ended, by a fence command that exited with 0, or by an operator's --force.
 */
export class FailoverController {
  #state: FailoverState = { phase: 'idle' };
  /** The failover that is under way, for all who ask for it. */
  #underWay: Promise<FailoverReport> | undefined;
  /** Aborted when an operator forces the failover that is under way. */
  #forced = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  readonly #backoff = new Backoff();
  #retryAtMs = -Infinity;
  /** Of a fence that waits for `fence.delayMs`. */
  #endDelay = (): void => undefined;
  #isClosed = false;
  #startMs = 0;
  #done: Done = { epoch: 0, takenOverMs: 0, durableMs: 0, movedMs: 0 };
  #networkError: Error | undefined;
  #progress: FailoverProgress | undefined;
  #fenceFailure: string | undefined;
  readonly #listeners = new Set<Reporter<'failover'>>();

  constructor(private readonly options: FailoverOptions) {}

  get state(): FailoverState {
    return this.#state;
  }

  /** Of the failover that is under way. */
  get progress(): FailoverProgress | undefined {
    return this.#progress;
  }

  /** The guest runs here, and a crash of this host loses nothing that it has flushed. */
  get isDurable(): boolean {
    const at = this.#state.phase === 'failed' ? this.#state.at : this.#state.phase;
    return at === 'moving' || at === 'opening-network' || at === 'done';
  }

  /** Why the last fence failed, in words; nothing once there is proof. */
  get fenceFailure(): string | undefined {
    return this.#fenceFailure;
  }

  /**
   * The secondary takes over, and moves to its local files. Asking again after a failure continues
   * with the step that failed; after a success it gives the same report, while QEMU is there.
   *
   * @param force overrules a fence that is running, too; `overrulePeer` a primary that is well
   * @param progress gets the stages `fence` where there is one, `take over`, `journal`, `write
   *   back` with its bytes, and `local disks`
   * @throws GannetError GANNET_REFUSED without proof that the primary is dead, unless forced; and
   *   if QEMU has ended after it took over
   */
  async failOver(
    force: boolean,
    progress: Reporter<'failover'> = () => undefined,
    overrulePeer = false,
  ): Promise<FailoverReport> {
    const isWell = force && this.#mayStillRefuse ? wellPeer(this.options.look()) : undefined;
    const refused = (overrulePeer ? undefined : isWell) ?? endedSurvivor(this.options.look());
    if (refused) throw refused;
    this.#listeners.add(progress);
    if (force) this.#forced.abort();
    return this.#start('caller').finally(() => {
      this.#listeners.delete(progress);
      // If it has failed half way, the policy may carry it on.
      this.consider();
    });
  }

  /** Nothing of a takeover was done yet. */
  get #mayStillRefuse(): boolean {
    const { phase } = this.#state;
    return phase === 'idle' || phase === 'proving';
  }

  /**
   * Something has changed: acts if failover is automatic and everything says that the primary is
   * gone.
   */
  consider(): void {
    clearTimeout(this.#timer);
    const { phase } = this.#state;
    if (phase === 'proving' && evidenceIn(this.options.look())) this.#endDelay();
    const isBusy = this.#underWay !== undefined || (phase !== 'idle' && phase !== 'failed');
    if (this.#isClosed || isBusy) return;
    const step = this.#automaticStep();
    if (step.kind === 'none') {
      this.#backoff.reset();
      return;
    }
    const waitMs = step.kind === 'wait' ? step.ms : this.#retryAtMs - performance.now();
    // A word that proves it needs no fence, so it does not wait for the next try of one.
    const mayHurry = phase === 'idle' && evidenceIn(this.options.look()) !== undefined;
    if (step.kind === 'wait' || (waitMs > 0 && !mayHurry)) {
      this.#timer = setTimeout(() => this.consider(), waitMs);
      return;
    }
    this.#start('policy').catch((error: unknown) => this.#afterFailedPolicy(error));
  }

  /** Stops acting by itself, and stops a fence that is running. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#state.phase === 'proving') this.#forced.abort();
  }

  /** A takeover that has begun is carried on; what the primary says does not matter any more. */
  #automaticStep(): AutomaticStep {
    const [view, policy] = [this.options.look(), this.options.policy()];
    const hasBegun =
      this.#state.phase === 'failed' &&
      (this.#state.at !== 'taking-over' || evidenceIn(view)?.kind === 'done');
    if (!hasBegun) return automaticStep(view, policy);
    return { kind: policy.isAutomatic || isHandedOver(view) ? 'fail-over' : 'none' };
  }

  #start(asker: Asker): Promise<FailoverReport> {
    const { operations } = this.options.history;
    const failOver = (): Promise<FailoverReport> => this.#failOver(asker);
    this.#underWay ??= (operations?.join(failOver) ?? failOver()).finally(() => {
      this.#underWay = undefined;
      this.#progress = undefined;
      this.#forced = new AbortController();
    });
    return this.#underWay;
  }

  async #failOver(asker: Asker): Promise<FailoverReport> {
    let state = this.#step({ kind: 'asked' });
    if (state.phase === 'proving') state = await this.#provenBy(asker);
    while (isStep(state.phase)) state = await this.#carryOut(state.phase);
    if (state.phase === 'done') return state.report;
    throw new Error(`a failover ended as ${state.phase}`);
  }

  async #provenBy(asker: Asker): Promise<FailoverState> {
    try {
      const evidence = await this.#prove(asker);
      if (evidence.kind !== 'done') await this.options.steps.claim(evidence.kind);
      this.#fenceFailure = undefined;
      this.#startMs = performance.now();
      this.options.history.add('failover-begins', { evidence: evidence.words });
      return this.#step({ kind: 'proven', evidence });
    } catch (error) {
      this.#step({ kind: 'refused' });
      throw error;
    }
  }

  async #prove(asker: Asker): Promise<Evidence> {
    const { look, steps, history } = this.options;
    const known = await this.#known();
    if (known) return known;
    if (!this.#wantsFence(asker)) throw notProven(look());
    this.#tell({ stage: 'fence' });
    await this.#fenceDelay();
    // One that was halted as long as this daemon was may hang, and nobody has noticed yet.
    const doesAnswer = look().ownVm !== 'ready' || (await steps.free());
    const meanwhile = await this.#known();
    if (meanwhile) return meanwhile;
    if (!doesAnswer) throw unfitness({ ...look(), ownVm: 'hung' }) ?? notProven(look());
    // What called for it may have passed.
    if (!this.#wantsFence(asker)) throw notProven(look());
    const { succeeded, words, wasStopped } = await steps.fence(this.#forced.signal);
    if (!wasStopped) history.add('fence', { target: 'primary', succeeded, words });
    this.#fenceFailure = succeeded || wasStopped ? undefined : words;
    const since = await this.#known();
    if (succeeded && since?.kind !== 'done') {
      const { evidence: kind = 'fence' } = this.options.policy();
      return { kind, words: FAILOVER_EVIDENCE[kind] };
    }
    if (since) return since;
    throw notProven(look());
  }

  /**
   * What proves by now that this side may take over.
   *
   * @throws GannetError GANNET_REFUSED where nothing would run after a takeover, and at the end of
   *   this daemon
   */
  async #known(): Promise<Evidence | undefined> {
    const { look } = this.options;
    const evidence = evidenceIn(look());
    if (evidence?.kind === 'done') return evidence;
    await this.#expectFit();
    if (this.#isClosed) throw notProven(look());
    return this.#isForced() ? OPERATOR : evidenceIn(look());
  }

  #wantsFence(asker: Asker): boolean {
    const [view, policy] = [this.options.look(), this.options.policy()];
    if (asker === 'caller') return mayFence(view, policy);
    return automaticStep(view, policy).kind === 'fail-over';
  }

  /** Ends early when there is proof, an operator forces it, or the daemon ends. */
  async #fenceDelay(): Promise<void> {
    const { fenceDelayMs } = this.options.policy();
    if (fenceDelayMs === 0 || this.#isForced()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, fenceDelayMs);
      this.#endDelay = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#forced.signal.addEventListener('abort', this.#endDelay, { once: true });
    });
    this.#endDelay = () => undefined;
  }

  /** A method: it may become true while something is awaited. */
  #isForced(): boolean {
    return this.#forced.signal.aborted;
  }

  /** @throws GannetError GANNET_REFUSED where nothing would run after a takeover */
  async #expectFit(): Promise<void> {
    const { look, steps } = this.options;
    const unfit = unfitness(look());
    if (!unfit) return;
    const isCurable = look().ownVm === 'hung' && !unfitness({ ...look(), ownVm: 'ready' });
    if (!isCurable || !(await steps.free())) throw unfit;
  }

  async #carryOut(step: FailoverStep): Promise<FailoverState> {
    const { history } = this.options;
    try {
      await this.#run(step);
    } catch (error) {
      this.#step({ kind: 'step-failed' });
      this.#pause();
      throw resumable(this.options.look().vm, error);
    }
    const report = { ...this.#done, evidence: this.#evidence };
    const state = this.#step({ kind: 'step-done', report });
    if (state.phase === 'done') history.add('failover-done', report);
    return state;
  }

  async #run(step: FailoverStep): Promise<void> {
    const { steps, history } = this.options;
    const sinceMs = (): number => Math.round(performance.now() - this.#startMs);
    switch (step) {
      case 'taking-over': {
        this.#tell({ stage: 'take over' });
        // Now: the replica counts on, for the survivor's own writes.
        const epoch = await steps.takeOver();
        this.#done = { ...this.#done, epoch, takenOverMs: sinceMs() };
        // Clients wait for this. A guest that nobody can reach must get to its disks all the same.
        this.#networkError = await this.#tryNetwork();
        return;
      }
      case 'journaling':
        this.#tell({ stage: 'journal' });
        await steps.journal();
        this.#done = { ...this.#done, durableMs: sinceMs() };
        history.add('failover-durable');
        return;
      case 'moving':
        await steps.move((report) => this.#tell(report));
        this.#done = { ...this.#done, movedMs: sinceMs() };
        return;
      case 'opening-network': {
        const error = this.#networkError;
        this.#networkError = undefined;
        // The first try was above; the next one is made when somebody asks again.
        if (error !== undefined) throw error;
        await steps.openNetwork();
      }
    }
  }

  async #tryNetwork(): Promise<Error | undefined> {
    try {
      await this.options.steps.openNetwork();
      return undefined;
    } catch (error) {
      this.#trouble(error);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** The fence has failed, nothing could run here, or a step has failed. */
  #afterFailedPolicy(error: unknown): void {
    if (this.#isClosed) return;
    this.#trouble(error);
    if (this.#state.phase === 'idle') this.#pause();
    this.consider();
  }

  /** Nothing is tried again by itself for a while, longer each time. */
  #pause(): void {
    const { highMs } = this.options.policy();
    this.#retryAtMs = performance.now() + this.#backoff.nextMs(highMs);
  }

  get #evidence(): FailoverEvidence {
    return 'evidence' in this.#state ? this.#state.evidence.words : FAILOVER_EVIDENCE.done;
  }

  #step(event: FailoverEvent): FailoverState {
    this.#state = nextFailoverState(this.#state, event);
    return this.#state;
  }

  #tell(report: FailoverProgress): void {
    this.#progress = report;
    for (const listener of this.#listeners) listener(report);
  }

  #trouble(error: unknown): void {
    reportTrouble(this.options.history, error);
  }
}

const OPERATOR: Evidence = { kind: 'operator', words: FAILOVER_EVIDENCE.operator };

/** Whoever has removed the cause has to ask again: nobody carries the rest out by itself. */
function resumable(vm: string, error: unknown): unknown {
  const { code, message, remedy, exit } = describeError(error);
  if (remedy.includes('`gannet ')) return error;
  const again = `${remedy} Then run \`gannet failover ${vm}\` again.`;
  return new GannetError(code as GannetError['code'], message, again, exit, { cause: error });
}
