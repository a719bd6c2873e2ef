import type { CopyWord, TermRecord } from '@gannet/contract';
import { BLANK, succeeding } from '../../src/daemon/arbitration/records.js';
import { type Change, TermRetries } from '../../src/daemon/terms/term-retries.js';
import type { TermStore } from '../../src/daemon/terms/term-store.js';

/** A record of the VM that these tests are about. */
export function record(word: CopyWord, term: number, rest: Partial<TermRecord> = {}): TermRecord {
  return { ...BLANK, lineage: 'a1', word, term, ...rest };
}

/** A term file that is always written, and at once. */
export function termsInMemory(first: TermRecord): TermStore {
  const terms = {
    record: first,
    on: () => () => undefined,
    update: async (change: Change): Promise<TermRecord> => {
      await Promise.resolve();
      const next = change(terms.record);
      if (next) terms.record = succeeding(terms.record, next, BLANK.at);
      return terms.record;
    },
  };
  const retries = new TermRetries((change) => terms.update(change));
  return Object.assign(terms, {
    insist: retries.insist.bind(retries),
  }) as unknown as TermStore;
}
