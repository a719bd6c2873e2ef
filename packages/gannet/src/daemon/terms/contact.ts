import { hostname } from 'node:os';
import type { EventDetails, PeerStatus, TermRecord } from '@gannet/contract';
import { compare, type Standing } from '../arbitration/compare.js';
import { type NextRecord, outdatedBy } from '../arbitration/records.js';
import type { TermStore } from './term-store.js';

export interface ContactOptions {
  readonly role: 'primary' | 'secondary';
  readonly terms: TermStore;
  readonly history: {
    add(kind: 'two-copies', details: EventDetails['two-copies']): void;
    add(kind: 'foreign', details: EventDetails['foreign']): void;
  };
  /** The own copy is outdated. Called before that is written, and again at each contact. */
  readonly onYield: () => void;
  readonly onTrouble: (error: unknown) => void;
  /** Whether the QEMU of this side has ended, or its guest was stopped for the other side. */
  readonly isGone: () => boolean;
}

/**
 * What both sides do when they hear of each other: compare their records. Nothing is sent for this
 * and nothing can be lost: each heartbeat says all of it again.
 */
export class Contact {
  /** What was said last, or needed no alarm. */
  #alarm = '';
  /** The guest of the peer stood still, and nobody has said that it runs again. */
  #isPeerStill = false;

  constructor(private readonly options: ContactOptions) {}

  hear(status: PeerStatus): Standing {
    const { role, terms } = this.options;
    const standing = compare(role, terms.record, status.record);
    this.#report(standing, status);
    if (standing === 'yield') this.#yield(status);
    // Written, or found outdated by an earlier daemon.
    if (terms.record.word === 'outdated') this.options.onYield();
    return standing;
  }

  /** Decided in turn with all other writes: a takeover may be on its way to the disk. */
  #yield({ record }: PeerStatus): void {
    const { role, terms, onYield, onTrouble } = this.options;
    const change = (own: TermRecord): NextRecord | undefined => {
      if (compare(role, own, record) !== 'yield') return undefined;
      onYield();
      return outdatedBy(own, record);
    };
    terms.insist('yield', change, onTrouble);
  }

  #report(standing: Standing, status: PeerStatus): void {
    const { role, terms, history, isGone } = this.options;
    const { record: own } = terms;
    const { record: peer } = status;
    const hasTakenOver = own.word === 'taken-over' || peer.word === 'taken-over';
    const isYielding = status.state === 'yielding' || status.standstill !== undefined;
    const hasStopped = status.vm === 'lost' || isYielding;
    // An operator lets it run again: its record says so first.
    const isStillOutdated = status.state === 'superseded' && peer.word !== 'alone';
    this.#isPeerStill = hasStopped || (this.#isPeerStill && isStillOutdated);
    const isContest = (standing === 'yield' || standing === 'prevail') && hasTakenOver;
    if (standing !== 'foreign' && !isContest) return;
    const alarm = `${standing} ${peer.term} ${peer.lineage}`;
    if (alarm === this.#alarm) return;
    // Until the record of the outdated side is written, each beat shows the same.
    this.#alarm = alarm;
    if (isContest && (role === 'primary' ? isGone() : this.#isPeerStill)) return;
    if (standing === 'foreign') {
      history.add('foreign', { own: own.lineage, other: peer.lineage });
      return;
    }
    const isOurs = standing === 'prevail';
    const [newest, other] = isOurs ? [own, peer] : [peer, own];
    history.add('two-copies', {
      newest: isOurs ? role : status.role,
      host: isOurs ? hostname() : (status.host ?? 'the other host'),
      term: newest.term,
      outdatedTerm: other.term,
    });
  }
}
