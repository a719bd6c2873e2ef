import { describe, expect, test } from '@jest/globals';
import { configSections, type PrimaryConfig } from '@gannet/contract';
import { reloadedPrimary } from '../../src/daemon/reload.js';

type Section = Record<string, unknown>;

const current = {
  vm: 'web',
  qmp: 'unix:/run/web.qmp',
  fence: { command: ['old'] },
  primary: { peer: 'unix:/run/peer', checkpointPeriodMs: 1 },
} as unknown as PrimaryConfig;

const keys = configSections().flatMap((section) => section.keys);
const nameOf = ({ key }: { key: string }): string => key.slice('primary.'.length);
const ofPrimary = keys.filter(({ key }) => /^primary\.\w+$/.test(key));

describe('a key of the primary', () => {
  test.each(ofPrimary.filter(({ reloads }) => reloads).map(nameOf))('%s is reloaded', (name) => {
    const next = { ...current, primary: { ...current.primary, [name]: 'new' } };
    const { primary } = reloadedPrimary(current, next);
    expect((primary as unknown as Section)[name]).toBe('new');
  });

  test.each(ofPrimary.filter(({ reloads }) => !reloads).map(nameOf))(
    '%s needs a restart',
    (name) => {
      const next = { ...current, primary: { ...current.primary, [name]: 'new' } };
      const { primary } = reloadedPrimary(current, next);
      expect((primary as unknown as Section)[name]).not.toBe('new');
    },
  );
});

test('the fence is reloaded', () => {
  const fence = { ...current.fence, command: ['new'] } as PrimaryConfig['fence'];
  expect(reloadedPrimary(current, { ...current, fence }).fence).toBe(fence);
});
