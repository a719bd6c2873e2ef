import { describe, expect, test } from '@jest/globals';
import { peerStatusSchema } from '../src/peer.js';
import { hasTakenOver, isFinal, SECONDARY_STATES } from '../src/states.js';

const record = {
  ...{ lineage: 'a1', term: 4, word: 'protected', isForced: false, evidence: null },
  mustProve: true,
  lacks: { reason: 'no space', hasReplica: true, qemu: '7@100' },
  at: '2026-01-01T10:00:00.000Z',
};
const PRIMARY = {
  ...{ role: 'primary', state: 'protected', epoch: 3, vm: 'ready', record },
};
const SECONDARY = {
  ...{ role: 'secondary', state: 'protected', epoch: 3, vm: 'ready', link: 'whole', record },
};

describe('a heartbeat', () => {
  test.each([PRIMARY, SECONDARY, { ...PRIMARY, state: 'none' }])('%j is understood', (status) => {
    expect(peerStatusSchema.parse(status)).toEqual(status);
  });
  test.each([
    { ...PRIMARY, state: 'half-protected' },
    { ...SECONDARY, state: 'merging' },
    { ...PRIMARY, state: 'diverged' },
  ])('%j has a state that is read as unknown', (status) => {
    expect(peerStatusSchema.parse(status)).toMatchObject({ state: 'unknown' });
  });
  test.each([
    { ...SECONDARY, vm: 'asleep' },
    { ...SECONDARY, link: 'half' },
    { ...SECONDARY, role: 'witness' },
    { ...SECONDARY, epoch: -1 },
    { ...SECONDARY, record: undefined },
    { ...SECONDARY, record: { ...record, word: 'perhaps' } },
  ])('%j is refused: it would be acted upon', (status) => {
    expect(peerStatusSchema.safeParse(status).success).toBe(false);
  });
});

test('what a peer sends fills neither log nor memory', () => {
  const long = 'x'.repeat(900_000);
  const status = peerStatusSchema.parse({ ...SECONDARY, host: long, trouble: long, replica: long });
  expect(status.host).toHaveLength(256);
  expect(status.trouble).toHaveLength(4096);
  expect(status.replica).toHaveLength(256);
});

test('states that say that the secondary took over, or that it must be restarted', () => {
  expect(SECONDARY_STATES.filter(hasTakenOver)).toEqual(['failed-over', 'retired']);
  expect(SECONDARY_STATES.filter(isFinal)).toEqual(['failed-over', 'retired', 'diverged']);
  expect(['unknown', 'none', undefined].some(isFinal)).toBe(false);
});
