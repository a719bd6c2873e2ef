import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { DaemonEvent } from '@gannet/contract';
import { CheckpointSummary } from '../../../src/daemon/events/checkpoint-summary.js';

const DIST = path.resolve(import.meta.dirname, '..', '..', '..', 'dist', 'daemon');
const MIB = 2 ** 20;
const DONE = { committedPages: 256, droppedPages: 8, unflushedWrites: 0, gateClosedMs: 0.4 };

function checkpoint(role: DaemonEvent['role'], epoch: number, pausedMs: number | null) {
  const cause = 'period' as const;
  return { at: '', role, kind: 'checkpoint', ...DONE, epoch, cause, pausedMs } as const;
}
function commit(epoch: number) {
  const rest = { checkpointMs: 12, provisional: false };
  return { at: '', role: 'secondary', kind: 'commit', ...DONE, epoch, ...rest } as const;
}

describe('the checkpoints of a minute', () => {
  test('how many, how much, and how long the guest stood still', () => {
    const summary = new CheckpointSummary();
    for (const [at, pausedMs] of [3, 9.123456, 41, null, 5].entries()) {
      summary.note(checkpoint('primary', at, pausedMs));
    }
    expect(summary.take()).toEqual({
      ...{ checkpoints: 5, bytes: 5 * MIB, pauseMedianMs: 9.12, pauseMaxMs: 41 },
      text: '5 checkpoints, 5.0 MiB committed, guest paused 9.12 ms (median), 41.0 ms (longest)',
    });
  });

  test('at the secondary: its own commits, and the pauses that the primary reports', () => {
    const summary = new CheckpointSummary();
    for (const epoch of [1, 2, 3]) summary.note(commit(epoch));
    summary.note(checkpoint('secondary', 3, 7));
    expect(summary.take()).toMatchObject({ checkpoints: 3, bytes: 3 * MIB, pauseMaxMs: 7 });
  });

  test('each in one minute only, and no line where there was none', () => {
    const summary = new CheckpointSummary();
    expect(summary.take()).toBeUndefined();
    summary.note(commit(1));
    expect(summary.take()).toEqual({
      ...{ checkpoints: 1, bytes: MIB, pauseMedianMs: null, pauseMaxMs: null },
      text: '1 checkpoint, 1.0 MiB committed',
    });
    expect(summary.take()).toBeUndefined();
  });
});

/** Bytes of the log of a day with a checkpoint each second, as journald gets them. */
function dayOf(role: 'primary' | 'secondary'): { bytes: number; lines: string[] } {
  const code = `
    import { fstatSync } from 'node:fs';
    import { createLogger } from '${DIST}/log.js';
    import { History } from '${DIST}/history.js';
    const { dev, ino } = fstatSync(2);
    process.env.JOURNAL_STREAM = dev + ':' + ino;
    const log = createLogger({ role: '${role}' }).child({ vm: 'a-vm-with-a-long-name' });
    const history = new History(log, () => undefined);
    history.role = '${role}';
    const done = ${JSON.stringify({ ...DONE, committedPages: 12_345 })};
    for (let second = 1; second <= 86_400; second++) {
      const pausedMs = 8.765432109876543 + (second % 60);
      const checkpoint = { ...done, epoch: second, cause: 'period', pausedMs };
      if ('${role}' === 'secondary') {
        const epochs = [second];
        history.add('commit', { ...done, epoch: second, checkpointMs: 12.3, provisional: false });
        history.add('write-back', { epochs, writes: 99, bytes: 50_000_000, ms: 123.456 });
      }
      history.add('checkpoint', checkpoint);
      if (second % 60 === 0) history.summarise();
      // What waits to be written gets the time that it has in a day.
      if (second % 600 === 0) await new Promise((resolve) => setImmediate(resolve));
    }`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    maxBuffer: 64 * MIB,
  });
  expect({ status, end: stderr.slice(-300) }).toMatchObject({ status: 0 });
  return { bytes: Buffer.byteLength(stderr), lines: stderr.trimEnd().split('\n') };
}

test.each(['primary', 'secondary'] as const)('a day of a %s is under 1 MiB of log', (role) => {
  const { bytes, lines } = dayOf(role);
  process.stdout.write(
    `a day of checkpoints of a ${role}: ${lines.length} lines, ${bytes} bytes\n`,
  );
  expect(lines).toHaveLength(24 * 60);
  expect(lines[0]).toMatch(/^<6>\{.*"checkpoints":60,.*"vm":"a-vm-with-a-long-name"/);
  expect(bytes).toBeLessThan(MIB);
});
