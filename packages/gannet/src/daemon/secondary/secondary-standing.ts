import { randomUUID } from 'node:crypto';
import { hasTakenOver, type PeerStatus, type TermRecord } from '@gannet/contract';
import type { Replica } from '@gannet/replicator';
import { mayJoin, type PairView } from '../arbitration/may-take-over.js';
import { emptied, inStep, type NextRecord, opened, outdatedBy } from '../arbitration/records.js';
import type { History } from '../history.js';
import { Contact } from '../terms/contact.js';
import type { TermStore } from '../terms/term-store.js';
import { GuestGuard } from '../vm/guest-guard.js';
import type { VmWatch } from '../vm/vm-watch.js';

export interface SecondaryStandingOptions {
  readonly terms: TermStore;
  readonly history: Pick<History, 'add'>;
  readonly replica: Replica;
  readonly vm: VmWatch;
  /** For each answer of QEMU. */
  readonly patienceMs: number;
  /** Cuts the links of QEMU to the primary, out-of-band. */
  readonly cut: () => Promise<void>;
  readonly look: () => PairView;
  readonly onTrouble: (error: unknown) => void;
}

/** Whether this host's copy of the VM may take over, or run: keeps the record of this side true. */
export class SecondaryStanding {
  readonly #guard: GuestGuard;
  readonly #contact: Contact;
  /** The primary may run without this copy, and does. */
  #runsAlone = false;

  constructor(private readonly options: SecondaryStandingOptions) {
    const { terms, history, replica, vm, patienceMs, cut, onTrouble } = options;
    this.#guard = new GuestGuard({
      ...{ qmp: () => vm.qmp, cut, patienceMs, onTrouble },
      onStopped: () => history.add('second-copy-stopped'),
    });
    this.#contact = new Contact({
      ...{ role: 'secondary', terms, history, onTrouble },
      onYield: () => this.#yield(),
      isGone: () => vm.state === 'lost',
    });
    replica.on((event) => {
      if (event.kind === 'state') this.#onState();
    });
  }

  /**
   * The daemon begins, with nothing in memory.
   *
   * @param mayForget whether the base may hold anything
   */
  async begin(mayForget: boolean): Promise<void> {
    await this.options.terms.update((own) => emptied(own, mayForget));
  }

  /** The primary has said how it is. */
  hear(status: PeerStatus): void {
    this.#runsAlone = status.record.word === 'alone' && status.vm === 'ready';
    this.#contact.hear(status);
    this.#join();
    if (this.#isWithoutTerm && this.#runsAlone && status.state !== 'protecting') this.#yield();
  }

  /** QEMU began COLO without a daemon of the primary: no comparison of terms finds it outdated. */
  get #isWithoutTerm(): boolean {
    const { terms, replica } = this.options;
    return terms.record.word === 'none' && replica.isWaiting;
  }

  #onState(): void {
    const { terms, replica, onTrouble } = this.options;
    this.#join();
    if (replica.state !== 'diverged') return;
    const change = (own: TermRecord): NextRecord | undefined =>
      own.word === 'protected' ? outdatedBy(own, own) : undefined;
    terms.insist('diverged', change, onTrouble);
  }

  /**
   * This copy never takes over, or its guest stops. The last commit is worthless only once the
   * primary runs on: until then it may be the only copy of the disks.
   */
  #yield(): void {
    const { replica } = this.options;
    if (hasTakenOver(replica.state)) this.#guard.stopGuest();
    else if (this.#runsAlone) replica.outdate('the primary runs on without this replica');
    else replica.diverge('this copy may not take over any more');
  }

  /** The replica is complete: from now on both copies are in step. */
  #join(): void {
    const { terms, look, onTrouble } = this.options;
    if (mayJoin(look()) === undefined) return;
    const change = (own: TermRecord): NextRecord | undefined => {
      const opening = mayJoin(look());
      if (opening === undefined) return undefined;
      // By call, there is no primary that opens a term.
      return opening === 'own' ? inStep(opened(own, own, randomUUID())) : inStep(opening);
    };
    terms.insist('join', change, onTrouble);
  }
}
