import { describe, expect, test } from '@jest/globals';
import type { Status, VerdictCode } from '@gannet/contract';
import { actionsOf } from '../../src/view/possible-actions.js';
import { judged } from '../support/statuses.js';
import { VERDICT_STATUSES } from '../support/verdict-statuses.js';

const ROWS = Object.entries(VERDICT_STATUSES) as [VerdictCode, Status][];

/** What each page offers, by the verdict that it shows. */
const OFFERED: Readonly<Record<VerdictCode, readonly string[]>> = {
  protected: ['Checkpoint now', 'Detach'],
  protecting: ['Cancel the protection'],
  unprotected: ['Protect'],
  alone: ['Protect'],
  survivor: ['Reprotect'],
  ...{ 'down-take-over': ['Fail over'], 'link-lost': ['Fail over'], unfit: ['Fail over'] },
  ...{ 'not-connected': ['Fail over'], 'peer-silent': ['Fail over'] },
  'base-trouble': ['Fail over'],
  'survivor-storage': ['Finish the failover'],
  'secondary-down': ['Checkpoint now', 'Run alone', 'Detach'],
  'replica-late': ['Checkpoint now', 'Run alone', 'Detach'],
  'peer-late': ['Checkpoint now', 'Run alone', 'Detach'],
  'peer-unheard': ['Checkpoint now', 'Run alone', 'Detach'],
  disagreement: ['Checkpoint now', 'Run alone', 'Detach'],
  'term-file': ['Checkpoint now', 'Run alone', 'Detach'],
  // Nothing that can be done here would help, or it needs --force.
  ...{
    moved: [],
    'handing-over': [],
    moving: [],
    superseded: [],
    held: [],
    ended: [],
    yielding: [],
    diverged: [],
  },
  ...{
    'survivor-down': [],
    'survivor-yields': [],
    'two-copies': [],
    'down-replica-unknown': [],
    'down-no-replica': [],
    down: [],
  },
  ...{ 'stands-still': [], hung: [], 'cannot-ask': [], 'awaits-qemu': [] },
};

describe('the actions on a page', () => {
  test.each(ROWS)('its status is judged %s', (code, status) => {
    expect(judged(status).health.code).toBe(code);
  });

  test.each(ROWS)('%s: only what the daemon can do now is offered', (code, status) => {
    expect(actionsOf(status).map(({ label }) => label)).toEqual(OFFERED[code]);
  });

  test('each says what it costs', () => {
    for (const action of ROWS.flatMap(([, status]) => actionsOf(status))) {
      expect(action.cost.length).toBeGreaterThan(40);
      expect(action.question).toMatch(/\?$/);
    }
  });

  test('a takeover says how much it undoes, and what a fence will do', () => {
    const status = VERDICT_STATUSES['down-take-over'];
    const [{ cost } = { cost: '' }] = actionsOf(status);
    expect(cost).toContain('since the last checkpoint, 1.2 s ago');
    expect(cost).toContain('the fence is run');
    const [bare = { cost: '' }] = actionsOf({ ...status, about: undefined });
    expect(bare.cost).toContain('refused without proof');
  });

  test('protection says how often the guest is paused, and how much is copied', () => {
    const [first] = actionsOf(VERDICT_STATUSES.unprotected);
    expect(first?.cost).toContain('to beta while the guest runs');
    expect(first?.cost).toContain('every 2.0 s or sooner');
    const [again] = actionsOf(VERDICT_STATUSES.survivor);
    expect(again?.cost).toContain('the disks (20.0 GiB)');
  });
});
