import { describe, expect, test } from '@jest/globals';
import { type SecondaryStatus, VERDICTS, type VerdictCode } from '@gannet/contract';
import {
  clusterReport,
  OF_VM,
  PATIENCE_MS,
  type Takeover,
} from '../../../src/daemon/arbitration/cluster-report.js';
import { record } from '../../support/records.js';
import { PRIMARY, SECONDARY } from '../../support/statuses.js';

const SINCE = '2026-01-01T10:00:00.000Z';
const EARLY = Date.parse(SINCE) + PATIENCE_MS - 1;
const LATE = EARLY + 1;
const CODES = Object.keys(VERDICTS) as VerdictCode[];
const SURVIVOR: SecondaryStatus = { ...SECONDARY, state: 'retired', isDurable: true };

const withCode = <S extends object>(status: S, code: VerdictCode): S => ({
  ...status,
  health: { ...SECONDARY.health, code, since: SINCE },
});

describe('the instance that runs the VM', () => {
  test.each(CODES)('with the verdict %s is reported as the table says', (code) => {
    for (const [at, status] of [PRIMARY, SURVIVOR].entries()) {
      const cell = OF_VM[code][at];
      const health = (nowMs: number): string => clusterReport(withCode(status, code), nowMs).health;
      expect(health(EARLY)).toBe(cell === 'persists' ? 'degraded' : cell);
      expect(health(LATE)).toBe(cell === 'persists' ? 'failed' : cell);
    }
  });

  test('fails where its guest stands still for good, and never because nothing protects it', () => {
    const failing = (at: 0 | 1): string[] =>
      CODES.filter((code) => ['failed', 'persists'].includes(OF_VM[code][at]));
    expect(failing(0)).toEqual([
      ...['two-copies', 'survivor-down', 'survivor-storage', 'moved', 'moving', 'survivor'],
      ...[
        'superseded',
        'held',
        'ended',
        'handing-over',
        'yielding',
        'stands-still',
        'down-take-over',
        'down-replica-unknown',
      ],
      ...['down-no-replica', 'down', 'hung', 'awaits-qemu'],
    ]);
    // The survivor has the newer copy: what is said of the primary's does not fail it.
    for (const code of ['two-copies', 'moving', 'survivor', 'survivor-storage'] as const) {
      expect(failing(1)).not.toContain(code);
    }
    expect(CODES.filter((code) => OF_VM[code].includes('running'))).toEqual(['protected']);
  });

  test('is the VM on either side, and a primary is never asked to take over', () => {
    expect(clusterReport(PRIMARY, LATE)).toMatchObject({ copy: 'vm', takeover: 'unfit' });
    expect(clusterReport(SURVIVOR, LATE)).toMatchObject({ copy: 'vm', takeover: 'durable' });
  });
});

type Row = readonly [what: string, change: Partial<SecondaryStatus>, ...expected: string[]];

const ROWS: readonly Row[] = [
  ['is valid', {}, 'running', 'ready'],
  ['is being copied', { state: 'seeding', mayFailOver: false }, 'degraded', 'unfit'],
  ['is in doubt', { mayFailOver: false }, 'degraded', 'unfit'],
  ['has no term yet', { record: record('none', 0) }, 'degraded', 'unfit'],
  ['has diverged', { state: 'diverged', mayFailOver: false }, 'failed', 'unfit'],
  ['is outdated', { record: record('outdated', 4), mayFailOver: false }, 'failed', 'unfit'],
  ['has lost its QEMU', { secondaryVm: 'lost', mayFailOver: false }, 'failed', 'unfit'],
  ['cannot use its QEMU', { secondaryVm: 'unusable', mayFailOver: false }, 'failed', 'unfit'],
  ['has a QEMU that hangs', { secondaryVm: 'hung', mayFailOver: false }, 'failed', 'unfit'],
  ['awaits its QEMU', { secondaryVm: 'awaited', mayFailOver: false }, 'degraded', 'unfit'],
  ['asks its arbiter', { failover: { stage: 'fence' } }, 'degraded', 'under-way'],
  ['has claimed the VM', { record: record('taken-over', 4) }, 'degraded', 'under-way'],
  [
    'diverged while it took over',
    { record: record('taken-over', 4), state: 'diverged' },
    ...['failed', 'unfit'],
  ],
];

describe('a replica', () => {
  test.each(ROWS)('that %s', (what, change, health, takeover) => {
    const status = withCode({ ...SECONDARY, ...change }, 'secondary-down');
    expect(clusterReport(status, LATE)).toEqual({ copy: 'replica', health, takeover });
    if (what !== 'has a QEMU that hangs') return;
    expect(clusterReport(status, EARLY).health).toBe('degraded');
  });

  test.each<[SecondaryStatus['state'], boolean, Takeover]>([
    ['failed-over', false, 'under-way'],
    ['failed-over', true, 'durable'],
    ['retired', false, 'under-way'],
    ['retired', true, 'durable'],
  ])('that is %s is the VM; durable %s', (state, isDurable, takeover) => {
    const status = withCode({ ...SECONDARY, state, isDurable }, 'moving');
    expect(clusterReport(status, LATE)).toEqual({ copy: 'vm', health: 'degraded', takeover });
  });
});
