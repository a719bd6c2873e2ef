import { describe, expect, test } from '@jest/globals';
import {
  COPY_WORDS,
  type CopyWord,
  type PeerStatus,
  PRIMARY_STATES,
  type TermRecord,
} from '@gannet/contract';
import { moveStep, type MoveView } from '../../../src/daemon/arbitration/may-move.js';
import { record } from '../../support/records.js';

type SecondaryPeer = Extract<PeerStatus, { role: 'secondary' }>;

const OFFERED = record('protected', 3, { movedTo: 'b' });

function heard(said: Partial<SecondaryPeer> = {}): MoveView['peer'] {
  const status: SecondaryPeer = {
    ...{ role: 'secondary', state: 'protected', epoch: 5, vm: 'ready', link: 'whole' },
    record: record('protected', 3),
    ...said,
  };
  return { liveness: 'up', status };
}

function kind(view: Partial<MoveView>): string {
  return moveStep({ state: 'yielding', own: OFFERED, peer: heard(), ...view }).kind;
}

describe('nothing is handed over', () => {
  test.each(PRIMARY_STATES)('by a record that does not say so: %s', (state) => {
    expect(kind({ state, own: record('protected', 3) })).toBe('none');
  });

  test.each(PRIMARY_STATES)('nor in a state in which it is not any more: %s', (state) => {
    const expected = { superseded: 'moved', yielding: 'wait' } as Partial<Record<string, string>>;
    expect(kind({ state })).toBe(expected[state] ?? 'none');
  });
});

test('silence is no word, whatever was said last', () => {
  for (const liveness of ['late', 'lost', 'unknown'] as const) {
    for (const word of COPY_WORDS) {
      const peer = { ...heard({ record: record(word, 3), vm: 'lost' }), liveness };
      expect(kind({ peer })).toBe('wait');
      expect(kind({ peer, own: record('leaving', 4, { movedTo: 'b' }) })).toBe('wait');
    }
  }
  expect(kind({ peer: { liveness: 'up', status: undefined } })).toBe('wait');
});

describe('by what the secondary has written', () => {
  const cells: [CopyWord, number, string][] = [
    ['none', 3, 'take-back'],
    ['outdated', 3, 'take-back'],
    ['protected', 3, 'wait'],
    ['taken-over', 4, 'wait'],
  ];
  test.each(cells)('%s in term %d: %s', (word, term, expected) => {
    expect(kind({ peer: heard({ record: record(word, term) }) })).toBe(expected);
    // Its claim is written whatever becomes of its QEMU.
    const gone = kind({ peer: heard({ record: record(word, term), vm: 'lost' }) });
    expect(gone).toBe(word === 'taken-over' ? 'wait' : 'take-back');
  });

  test('what is being taken back is carried on, unless the secondary was faster', () => {
    const own: TermRecord = record('leaving', 4, { movedTo: 'b' });
    expect(kind({ own })).toBe('take-back');
    expect(kind({ own, peer: heard({ record: record('outdated', 4) }) })).toBe('take-back');
    expect(kind({ own, peer: heard({ record: record('taken-over', 4) }) })).toBe('wait');
  });
});

describe('a secondary that has not taken over, and never will', () => {
  const gone: Partial<SecondaryPeer>[] = [
    { vm: 'lost' },
    { vm: 'unusable' },
    { state: 'diverged' },
    { isLeaving: true },
  ];
  test.each(gone)('%j', (said) => {
    expect(kind({ peer: heard(said) })).toBe('take-back');
  });

  test.each<Partial<SecondaryPeer>>([{ vm: 'hung' }, { link: 'lost' }, {}])(
    'but it may yet: %j',
    (said) => expect(kind({ peer: heard(said) })).toBe('wait'),
  );
});
