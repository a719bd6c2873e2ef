import { describe, expect, test } from '@jest/globals';
import { COPY_WORDS } from '@gannet/contract';
import {
  type ClusterRole,
  clusterRole,
  type ClusterRoleView,
  OF_CLAIM,
  OF_CURRENT,
  type Worth,
  worthOf,
  WORTHS,
} from '../../../src/daemon/arbitration/cluster-role.js';

const VIEW: ClusterRoleView = {
  ...{ node: 'n1', current: 'n1', claim: '', initial: 'n1', worth: 'own' },
  own: { word: 'protected', lacks: null },
};
const roleOf = (change: Partial<ClusterRoleView>): ClusterRole =>
  clusterRole({ ...VIEW, ...change }).role;
const NODES = ['', 'n1', 'n2'];
const LACKS = { reason: 'I/O error', hasReplica: true, qemu: null };

const ALL: ClusterRoleView[] = NODES.flatMap((current) =>
  NODES.flatMap((claim) =>
    NODES.flatMap((initial) =>
      WORTHS.flatMap((worth) =>
        COPY_WORDS.flatMap((word) =>
          [null, LACKS].map((lacks) => ({
            ...{ node: 'n1', current, claim, initial, worth },
            own: { word, lacks },
          })),
        ),
      ),
    ),
  ),
);

describe('the node with the newest disks', () => {
  test.each<[Worth, ClusterRole]>([
    ['own', 'run'],
    ['whole', 'run'],
    ['journal', 'recover'],
    ['last-commit', 'wait'],
    ['torn', 'wait'],
    ['missing', 'wait'],
  ])('whose disks are %s: %s', (worth, role) => {
    expect(roleOf({ worth })).toBe(role);
    expect(OF_CURRENT[worth].role).toBe(role);
  });

  test('is the first time the one that is named for it; nobody, if none is', () => {
    expect(roleOf({ current: '' })).toBe('run');
    expect(roleOf({ current: '', initial: 'n2' })).toBe('secondary');
    expect(roleOf({ current: '', initial: '' })).toBe('wait');
  });

  test('does not run what it knows to be old, or incomplete', () => {
    expect(roleOf({ own: { word: 'outdated', lacks: null } })).toBe('wait');
    expect(roleOf({ own: { word: 'protected', lacks: LACKS } })).toBe('wait');
    // Nobody has what is missing: as after any crash.
    const lacks = { ...LACKS, hasReplica: false };
    expect(roleOf({ own: { word: 'alone', lacks } })).toBe('run');
  });
});

describe('a takeover that has begun', () => {
  test.each<[Worth, ClusterRole]>([
    ['own', 'wait'],
    ['whole', 'confirm'],
    ['journal', 'confirm'],
    ['last-commit', 'give-back'],
    ['torn', 'give-back'],
    ['missing', 'wait'],
  ])('here, with disks that are %s: %s', (worth, role) => {
    expect(roleOf({ current: 'n2', claim: 'n1', worth })).toBe(role);
    expect(OF_CLAIM[worth].role).toBe(role);
  });

  test('elsewhere: this node neither runs nor overwrites anything until that one has said', () => {
    for (const worth of WORTHS) {
      expect(roleOf({ claim: 'n2', worth })).toBe('wait');
      // Once it is the current one, it has.
      expect(roleOf({ current: 'n2', claim: 'n2', worth })).toBe('secondary');
    }
  });
});

describe('a node whose disks the cluster counts as old', () => {
  test('is a secondary, unless its own record says that they were the newest', () => {
    expect(roleOf({ current: 'n2' })).toBe('secondary');
    for (const word of ['alone', 'taken-over'] as const) {
      const own = { word, lacks: null };
      for (const worth of ['own', 'whole', 'journal'] as const) {
        expect(roleOf({ current: 'n2', worth, own })).toBe('wait');
      }
      expect(roleOf({ current: 'n2', worth: 'torn', own })).toBe('secondary');
    }
    // Cut off, it had not gone on alone yet.
    expect(roleOf({ current: 'n2', own: { word: 'leaving', lacks: null } })).toBe('secondary');
  });
});

test('in all combinations: who waits says why, and nothing torn ever runs', () => {
  for (const view of ALL) {
    const { role, why } = clusterRole(view);
    expect(why === '').toBe(role !== 'wait');
    if (role === 'run') expect(['own', 'whole']).toContain(view.worth);
    if (role === 'run' || role === 'recover') {
      expect(view.current === '' ? view.initial : view.current).toBe('n1');
    }
    if (role === 'secondary') {
      expect(view.claim === '' || view.claim === view.current).toBe(true);
      expect(view.current === '' ? view.initial : view.current).toBe('n2');
    }
  }
});

describe('what disks are worth', () => {
  const base = (state?: string, lastCommit?: boolean): Parameters<typeof worthOf>[0][number] => ({
    isThere: true,
    ...(state === undefined ? {} : { state: { state, ...(lastCommit ? { lastCommit } : {}) } }),
  });

  test.each<[Worth, Parameters<typeof worthOf>[0]]>([
    ['missing', []],
    ['missing', [base(), { isThere: false }]],
    ['own', [base(), base()]],
    ['torn', [base('retired'), base()]],
    ['journal', [base('failed-over'), base('protected')]],
    ['journal', [base('retired'), base('failed-over')]],
    ['whole', [base('retired'), base('retired')]],
    ['torn', [base('retired'), base('protected')]],
    ['torn', [base('seeding')]],
    ['torn', [base('diverged')]],
    ['torn', [base('protected')]],
    ['last-commit', [base('protected', true), base('protected')]],
    ['last-commit', [base('diverged', true)]],
  ])('%s: %j', (worth, bases) => {
    expect(worthOf(bases)).toBe(worth);
  });
});
