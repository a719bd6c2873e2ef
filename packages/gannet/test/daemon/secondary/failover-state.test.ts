import { describe, expect, test } from '@jest/globals';
import { FAILOVER_EVIDENCE } from '@gannet/contract';
import type { FailoverReport } from '@gannet/contract';
import {
  FAILOVER_TABLE,
  type FailoverEvent,
  type FailoverState,
  nextFailoverState,
} from '../../../src/daemon/secondary/failover-state.js';

const evidence = { kind: 'fence', words: FAILOVER_EVIDENCE.fence } as const;
const other = { kind: 'operator', words: FAILOVER_EVIDENCE.operator } as const;
const report = { epoch: 7 } as FailoverReport;

const STATES: Record<string, FailoverState> = {
  idle: { phase: 'idle' },
  proving: { phase: 'proving' },
  'taking-over': { phase: 'taking-over', evidence },
  journaling: { phase: 'journaling', evidence },
  moving: { phase: 'moving', evidence },
  'opening-network': { phase: 'opening-network', evidence },
  'failed at taking-over': { phase: 'failed', at: 'taking-over', evidence },
  'failed at journaling': { phase: 'failed', at: 'journaling', evidence },
  'failed at moving': { phase: 'failed', at: 'moving', evidence },
  'failed at opening-network': { phase: 'failed', at: 'opening-network', evidence },
  done: { phase: 'done', report },
};

const EVENTS: Record<FailoverEvent['kind'], FailoverEvent> = {
  asked: { kind: 'asked' },
  refused: { kind: 'refused' },
  proven: { kind: 'proven', evidence: other },
  'step-done': { kind: 'step-done', report },
  'step-failed': { kind: 'step-failed' },
};

/** What comes of each event, by the names above; whatever is not here must be refused as a bug. */
const EXPECTED: Record<string, Partial<Record<FailoverEvent['kind'], string>>> = {
  idle: { asked: 'proving' },
  proving: { asked: 'proving', refused: 'idle', proven: 'taking-over' },
  'taking-over': {
    asked: 'taking-over',
    'step-done': 'journaling',
    'step-failed': 'failed at taking-over',
  },
  journaling: { asked: 'journaling', 'step-done': 'moving', 'step-failed': 'failed at journaling' },
  moving: { asked: 'moving', 'step-done': 'opening-network', 'step-failed': 'failed at moving' },
  'opening-network': {
    asked: 'opening-network',
    'step-done': 'done',
    'step-failed': 'failed at opening-network',
  },
  'failed at taking-over': { asked: 'proving' },
  'failed at journaling': { asked: 'journaling' },
  'failed at moving': { asked: 'moving' },
  'failed at opening-network': { asked: 'opening-network' },
  done: { asked: 'done' },
};

const cells = Object.entries(STATES).flatMap(([name, state]) =>
  Object.entries(EVENTS).map(([kind, event]) => ({ name, state, kind, event })),
);

describe('the table of a failover', () => {
  test('has a row for each phase and a cell for each event', () => {
    const phases = new Set(Object.values(STATES).map(({ phase }) => phase));
    expect(Object.keys(FAILOVER_TABLE).sort()).toEqual([...phases].sort());
    for (const row of Object.values(FAILOVER_TABLE)) {
      expect(Object.keys(row).sort()).toEqual(Object.keys(EVENTS).sort());
    }
  });

  test.each(cells)('$name: $kind', ({ name, state, event }) => {
    const expected = EXPECTED[name]?.[event.kind];
    if (expected === undefined) {
      expect(() => nextFailoverState(state, event)).toThrow(/cannot have/);
    } else if (expected === 'taking-over' && event.kind === 'proven') {
      expect(nextFailoverState(state, event)).toEqual({ phase: expected, evidence: other });
    } else {
      expect(nextFailoverState(state, event)).toEqual(STATES[expected]);
    }
  });
});
