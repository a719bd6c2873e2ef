/** What a side writes into its record, and when: pure functions from one record to the next. */
import type { CopyWord, EvidenceKind, TermRecord } from '@gannet/contract';

/** A record that is about to be written. Without `lacks`, what its disk lacks stays as it is. */
export type NextRecord = Omit<TermRecord, 'at' | 'lacks'> & Partial<Pick<TermRecord, 'lacks'>>;

/** Of a side that has no term file. */
export const BLANK: TermRecord = {
  ...{ lineage: null, term: 0, word: 'none', isForced: false, evidence: null, mustProve: false },
  lacks: null,
  at: new Date(0).toISOString(),
};

const PLAIN = { isForced: false, evidence: null, mustProve: false } as const;

/** What a primary says of its copy, as long as that may run. */
const PRIMARY_WORDS: ReadonlySet<CopyWord> = new Set(['protected', 'leaving', 'alone']);

/** What is written: a copy that may run lacks what it lacked, until something says otherwise. */
export function succeeding(own: TermRecord, next: NextRecord, at: string): TermRecord {
  const lacks = PRIMARY_WORDS.has(next.word) ? own.lacks : null;
  return { lacks, ...next, at };
}

/**
 * The own disk lacks writes, or nothing any more. That of a copy that may not run is overwritten.
 *
 * @returns undefined if the record says so already
 */
export function lacking(own: TermRecord, lacks: TermRecord['lacks']): NextRecord | undefined {
  const mayRun = own.word !== 'outdated' && own.word !== 'taken-over';
  return mayRun && own.lacks !== lacks ? { ...own, lacks } : undefined;
}

/** After its last checkpoint, and before its secondary hears that it may go on from there. */
export function handedOver(own: TermRecord, movedTo: string): NextRecord {
  return { ...own, movedTo };
}

/** What was handed over was not taken, and nobody was told that it could be. */
export function takenBack(own: TermRecord): NextRecord {
  return { ...own, movedTo: undefined };
}

/** It stays so until this side may run again. */
function whereTo({ movedTo }: TermRecord): Pick<TermRecord, 'movedTo'> {
  return movedTo === undefined ? {} : { movedTo };
}

/** Two sides of one VM. A side that does not know its lineage yet may belong to any. */
export function isOneVm(own: TermRecord, peer: TermRecord): boolean {
  return own.lineage === null || peer.lineage === null || own.lineage === peer.lineage;
}

/** A primary begins to protect: a term that neither side has seen. Its copy is the newest. */
export function opened(own: TermRecord, peer: TermRecord, freshLineage: string): NextRecord {
  const lineage = own.lineage ?? peer.lineage ?? freshLineage;
  return { ...PLAIN, lineage, term: Math.max(own.term, peer.term) + 1, word: 'alone' };
}

/**
 * Both copies are in step, in the term that the primary has opened.
 *
 * @param mustProve of a primary: it has a fence, and so it can promise to use it
 */
export function inStep({ lineage, term }: NextRecord, mustProve = false): NextRecord {
  return { ...PLAIN, lineage, term, word: 'protected', mustProve };
}

/**
 * A primary that protects gets a fence. One that loses its fence stays bound: the secondary may not
 * hear of it any more, and would count on the promise.
 *
 * @returns undefined if nothing changes
 */
export function promised(own: TermRecord): NextRecord | undefined {
  return own.word === 'protected' && !own.mustProve
    ? { ...inStep(own, true), ...whereTo(own) }
    : undefined;
}

/**
 * The primary is about to go on without its replica, which is outdated from now on.
 *
 * @param peer what the secondary said last; a primary that has lost its term file learns from it
 */
export function leaving(own: TermRecord, peer: TermRecord = own): NextRecord {
  const term = Math.max(own.term, peer.term) + 1;
  const lineage = own.lineage ?? peer.lineage;
  const { mustProve } = own;
  return { ...PLAIN, lineage, term, word: 'leaving', mustProve, ...whereTo(own) };
}

/** The primary may go on without its replica. */
export function alone(
  own: TermRecord,
  evidence: EvidenceKind | null,
  peer: TermRecord = own,
): NextRecord {
  const { lineage, term } = own.word === 'leaving' ? own : leaving(own, peer);
  return { ...PLAIN, lineage, term, word: 'alone', isForced: evidence === 'operator', evidence };
}

/** An operator overrules a peer that has taken over. */
export function overruled(own: TermRecord, peer: TermRecord): NextRecord {
  const term = Math.max(own.term, peer.term) + 1;
  const lineage = own.lineage ?? peer.lineage;
  return { ...PLAIN, lineage, term, word: 'alone', isForced: true, evidence: 'operator' };
}

/** The secondary takes over. By force, it also outranks a primary that goes on alone unseen. */
export function takenOver({ lineage, term }: TermRecord, evidence: EvidenceKind): NextRecord {
  const isForced = evidence === 'operator';
  const next = term + (isForced ? 2 : 1);
  return { ...PLAIN, lineage, term: next, word: 'taken-over', isForced, evidence };
}

/** The peer's copy is the newer one. */
export function outdatedBy(own: TermRecord, peer: TermRecord): NextRecord {
  const lineage = own.lineage ?? peer.lineage;
  const term = Math.max(own.term, peer.term);
  return { ...PLAIN, lineage, term, word: 'outdated', ...whereTo(own) };
}

/**
 * A secondary's daemon begins: what its replica held in memory is gone.
 *
 * @param mayForget whether the base may hold anything; then it may belong to any VM
 * @returns undefined if the record says so already
 */
export function emptied(own: TermRecord, mayForget: boolean): NextRecord | undefined {
  const { lineage, term, word } = own;
  if (mayForget && lineage !== null) return { ...PLAIN, lineage: null, term: 0, word: 'none' };
  return word === 'none' ? undefined : { ...PLAIN, lineage, term, word: 'none' };
}
