import {
  GannetError,
  hasTakenOver,
  OPERATOR_REASONS,
  type MoveReport,
  type PeerStatus,
  type PrimaryState,
  type ProtectionMode,
  type Reporter,
  type TermRecord,
} from '@gannet/contract';
import { Backoff } from '../arbitration/backoff.js';
import type { Standing } from '../arbitration/compare.js';
import type { AttachStep, Found } from '../arbitration/on-attach.js';
import {
  alone,
  inStep,
  leaving,
  type NextRecord,
  overruled,
  promised,
} from '../arbitration/records.js';
import type { History } from '../history.js';
import { HandOver, type HandOverOptions } from '../move/hand-over.js';
import type { PeerLink } from '../peer/peer-link.js';
import * as refusals from '../refusals.js';
import { Contact } from '../terms/contact.js';
import type { TermStore } from '../terms/term-store.js';
import { GuestGuard } from '../vm/guest-guard.js';
import type { QemuLiveness } from '../vm/qemu-liveness.js';
import type { VmWatch } from '../vm/vm-watch.js';
import { LetGo, type LetGoOptions, type LetGoWish } from './let-go.js';
import type { PrimaryPhase, PrimaryRoleEvent } from './primary-state.js';

export interface PrimaryStandingOptions {
  readonly config: () => ReturnType<LetGoOptions['config']> &
    ReturnType<HandOverOptions['config']> & { readonly protection: ProtectionMode };
  readonly history: History;
  readonly terms: TermStore;
  readonly vm: VmWatch;
  readonly link: PeerLink;
  readonly liveness: () => Promise<QemuLiveness>;
  /** Cuts the links of QEMU to the secondary, out-of-band. */
  readonly cut: () => Promise<void>;
  /** Takes the links and COLO away, if there are any. */
  readonly unlink: () => Promise<void>;
  readonly is: (...phases: readonly PrimaryPhase[]) => boolean;
  /** Why the guest stands still on its own disk. */
  readonly standstill: () => string | undefined;
  readonly step: (event: PrimaryRoleEvent) => void;
  /** As the status shows it. */
  readonly shown: () => PrimaryState;
  readonly expectProtected: HandOverOptions['expectProtected'];
  readonly driver: HandOverOptions['driver'];
  /** The guest stands still for the secondary, or again. */
  readonly fate: () => { handOver(reason: string): boolean; haltAgain(): boolean };
  /** Something has failed that a secondary is lost by. */
  readonly lose: (reason: string) => void;
  /** A protection that is under way can't be finished. */
  readonly cancel: (reason: GannetError) => void;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Whether this host's copy of the VM may run: carries out on QEMU what the decisions in
 * daemon/arbitration say, for the record of this side and what the other side says of itself.
 */
export class PrimaryStanding {
  readonly #letGo: LetGo;
  readonly #guard: GuestGuard;
  readonly #contact: Contact;
  readonly #handOver: HandOver;
  readonly #backoff = new Backoff();
  /** Of what has failed and is tried again. */
  #timer: NodeJS.Timeout | undefined;
  #tryAgain = (): void => undefined;
  #said: Standing | undefined;
  #isClosed = false;

  constructor(private readonly options: PrimaryStandingOptions) {
    const { config, history, terms, vm, link, cut, is, onTrouble, step } = options;
    const { expectProtected, driver, liveness, standstill } = options;
    this.#handOver = new HandOver({
      ...{ config, history, terms, link, expectProtected, driver, onTrouble },
      ...{ state: options.shown, isIdle: () => this.isIdle },
      yield: (reason) => options.fate().handOver(reason),
      goOn: (reason) => this.#goOn(reason),
    });
    this.#letGo = new LetGo({
      ...{ config, history, terms, liveness, standstill, step },
      peer: () => ({ liveness: link.state, record: link.peer?.status.record }),
      runAlone: () => this.#runAlone(),
      unreachable: () => vm.refusal(config().vm),
    });
    this.#guard = new GuestGuard({
      ...{ qmp: () => vm.qmp, cut, patienceMs: config().peer.lowMs, onTrouble },
      onStopped: () => {
        if (is('superseded')) history.add('second-copy-stopped');
      },
    });
    terms.on(() => this.#letGo.heard());
    this.#contact = new Contact({
      ...{ role: 'primary', terms, history, onTrouble },
      onYield: () => this.#yield(),
      isGone: () => vm.state === 'lost' || is('yielding') || standstill() !== undefined,
    });
  }

  get isIdle(): boolean {
    return this.#letGo.isIdle;
  }

  /** Resolves when the secondary is not being let go. */
  idle(): Promise<void> {
    return this.#letGo.idle();
  }

  /** See LetGo.ask(). */
  letGo(wish: LetGoWish): Promise<void> {
    return this.#letGo.ask(wish);
  }

  /** See HandOver.move(). */
  move(progress: Reporter<'move'>): Promise<MoveReport> {
    return this.#handOver.move(progress);
  }

  /**
   * The secondary is lost. Whatever fails on the way is tried again: a guest whose writes wait for
   * a dead host stands still until this is done.
   *
   * @param isLost whether it still is
   */
  goAlone(reason: string, isLost: () => boolean): void {
    this.#insist({ to: 'alone', reason, force: false, mustTell: false }, isLost);
  }

  /** Nothing is tried again any more. */
  close(): void {
    this.#isClosed = true;
    this.#handOver.close();
    this.#forgetRetry();
  }

  /** The secondary has said how it is. */
  hear(status: PeerStatus): void {
    const standing = this.#contact.hear(status);
    this.#letGo.heard();
    if (standing === 'yielded') this.#hasYielded(standing !== this.#said);
    this.#said = standing;
    this.#handOver.hear();
    this.#recall(status);
  }

  /** The guest is known to stand still, for the sake of the other side. */
  get isStill(): boolean {
    return this.#guard.isStill;
  }

  /** A QEMU was found, and what follows was decided (on-attach.ts): the state, and a stop. */
  begin(step: AttachStep, isInColo: boolean): void {
    const { history, step: toState } = this.options;
    if (step === 'stop') return this.#yield();
    if (step === 'hold') {
      toState({ kind: 'hold' });
      this.#guard.stopGuest();
      history.add('held', { reason: 'its QEMU is new, and the secondary may have taken over' });
      return;
    }
    const isLinked = isInColo || step === 'let-go';
    toState({ kind: isLinked ? 'found-protected' : 'found-idle' });
    if (step !== 'adopt') return;
    history.add('protected', { found: 'running' });
    this.promise();
  }

  /** The rest of it, which takes time. */
  proceed(step: AttachStep, found: Found): void {
    const { lose, link, is } = this.options;
    if (step === 'hold') this.#settle();
    else if (step === 'let-go' && is('protected')) {
      if (found === 'broken') lose(ENDED);
      else this.#finish(found);
    }
    if (link.peer && link.state === 'up') this.hear(link.peer.status);
  }

  /** What an operator has ended, `protection: automatic` does not begin again. */
  async noteDetached(isDetached: boolean): Promise<void> {
    const { terms } = this.options;
    const isNoted = isDetached || undefined;
    if (terms.record.isDetached === isNoted) return;
    await terms.update((own) => ({ ...own, isDetached: isNoted }));
  }

  /** There may be a fence that there was not: see records.ts. */
  promise(): void {
    const { terms, config, onTrouble } = this.options;
    const mayPromise = (): boolean => config().fence !== undefined;
    if (!mayPromise()) return;
    terms.insist('promise', (own) => (mayPromise() ? promised(own) : undefined), onTrouble);
  }

  /** The VM was ended on purpose: nobody takes over from here on. */
  async outdate(): Promise<void> {
    const { terms, onTrouble } = this.options;
    const { term } = terms.record;
    const change = (own: TermRecord): NextRecord | undefined =>
      own.word === 'protected' && own.term === term ? leaving(own) : undefined;
    await terms.insist('ended', change, onTrouble).done;
  }

  /**
   * An operator lets an outdated copy run: the other side then has to stop its guest.
   *
   * @throws GannetError GANNET_REFUSED unless forced, and if the other side is well, unless that is
   *   said too
   */
  async overrule(force: boolean, overrulePeer: boolean): Promise<void> {
    const { config, terms, history, link, step } = this.options;
    const { vm } = config();
    await this.#letGo.idle();
    if (!force) throw refusals.secondCopy(vm);
    const { state, peer } = link;
    const isWell = state === 'up' && peer?.status.vm === 'ready' && hasTakenOver(peer.status.state);
    if (isWell && !overrulePeer) throw refusals.wellSurvivor(vm, peer.status);
    await terms.update((own) => overruled(own, peer?.status.record ?? own));
    step({ kind: 'overrule' });
    // Its guest stands still until it is released: that is reported, and no trouble.
    await this.#runAlone().catch((error: unknown) => this.options.onTrouble(error));
    history.add('alone', { reason: OPERATOR_REASONS.failover, secondaryKnows: false });
  }

  /** The other side has the newer copy: the guest here stops, at each contact again. */
  #yield(): void {
    const { step, cancel, config } = this.options;
    step({ kind: 'second-copy' });
    cancel(refusals.secondCopy(config().vm));
    this.#guard.stopGuest();
  }

  /** Of a VM that was handed over: as one that is held, it needs a word, an arbiter or a person. */
  async #goOn(reason: string): Promise<void> {
    const wish = { to: 'alone', reason, force: false, mustTell: true, isHeld: true } as const;
    await this.#letGo.ask(wish).catch((error: unknown) => {
      this.options.fate().haltAgain();
      throw error;
    });
  }

  async #runAlone(): Promise<void> {
    try {
      await this.options.unlink();
    } finally {
      await this.#guard.release();
    }
  }

  /** Brings to an end what an earlier daemon had begun, or what has ended by itself. */
  #finish(found: Found): void {
    const hasEnded = found === 'ended';
    const reason = hasEnded ? ENDED : 'an earlier daemon did not complete the protection';
    const to = hasEnded ? 'unprotected' : 'alone';
    const wish = { to, reason, force: false, mustTell: false } as const;
    this.#insist(wish, () => this.options.is('protected'));
  }

  /** Lets the secondary go; what fails is tried again, until it is done or not wanted any more. */
  #insist(wish: LetGoWish, isWanted: () => boolean): void {
    this.#forgetRetry();
    this.#letGo.ask(wish).then(
      () => this.#backoff.reset(),
      (error: unknown) => {
        if (this.#isClosed) return;
        // The secondary's word may have ended the loss. That QEMU hangs is reported all the same.
        if (isWanted() || this.options.vm.state === 'hung') this.options.onTrouble(error);
        if (!isWanted()) return;
        this.#forgetRetry();
        this.#tryAgain = () => {
          if (isWanted()) this.#insist(wish, isWanted);
        };
        const pauseMs = this.#backoff.nextMs(this.options.config().peer.highMs);
        this.#timer = setTimeout(() => this.#tryAgain(), pauseMs);
      },
    );
  }

  #forgetRetry(): void {
    clearTimeout(this.#timer);
    this.#tryAgain = () => undefined;
  }

  /** The secondary can't take over: what waited for that goes on. */
  #hasYielded(isNews: boolean): void {
    const { is, terms, onTrouble } = this.options;
    if (isNews) this.#tryAgain();
    if (is('held')) this.#settle();
    if (!is('ended') || terms.record.word !== 'leaving') return;
    const { term } = terms.record;
    const change = (own: TermRecord): NextRecord | undefined =>
      own.word === 'leaving' && own.term === term ? alone(own, 'word') : undefined;
    terms.insist('ended', change, onTrouble);
  }

  /** Whether a held guest may run: the secondary, a fence or an operator says it. */
  #settle(): void {
    if (!this.#letGo.isIdle) return;
    const reason = 'its QEMU is new, and the secondary has not taken over';
    const wish = { to: 'unprotected', reason, force: false, mustTell: false } as const;
    this.#insist({ ...wish, isHeld: true }, () => this.options.is('held'));
  }

  /** COLO runs and the term file was lost: the secondary has the term of the protection. */
  #recall({ record: said }: PeerStatus): void {
    const { terms, is, config, onTrouble } = this.options;
    if (!is('protected') || terms.record.word !== 'none' || said.word !== 'protected') return;
    const change = (own: TermRecord): NextRecord | undefined =>
      is('protected') && own.word === 'none'
        ? inStep(said, config().fence !== undefined)
        : undefined;
    terms.insist('recall', change, onTrouble);
  }
}

const ENDED = 'COLO had ended before this daemon came';
