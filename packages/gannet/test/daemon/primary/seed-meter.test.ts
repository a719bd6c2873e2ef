import { describe, expect, test } from '@jest/globals';
import { SeedMeter } from '../../../src/daemon/primary/seed-meter.js';
import { type ProgressReport, showProgress } from '../../../src/cli/progress.js';

const MIB = 1024 * 1024;

function meter() {
  const clock = { ms: 0 };
  const seeds = new SeedMeter(() => clock.ms);
  const step = (device: string, ms: number, doneMib: number, more: object = {}) => {
    clock.ms = ms;
    const progress = {
      device,
      doneBytes: doneMib * MIB,
      totalBytes: 100 * MIB,
      limitBytesPerSec: 0,
    };
    return seeds.update({ ...progress, ...more });
  };
  return { seeds, step };
}

describe('the meter of a copy', () => {
  test('an even copy has its rate from the first step on', () => {
    const { step } = meter();
    expect(step('vb0', 0, 0)).toMatchObject({ bytesPerSec: 0, secondsLeft: null });
    for (let second = 1; second <= 20; second += 1) {
      const { bytesPerSec, secondsLeft } = step('vb0', second * 1000, second * 2);
      expect(Math.abs(bytesPerSec - 2 * MIB)).toBeLessThan(10);
      expect(Math.abs((secondsLeft ?? 0) - (100 - second * 2) / 2)).toBeLessThanOrEqual(1);
    }
  });

  test('a hole that is skipped in a moment is forgotten after a while', () => {
    const { step } = meter();
    step('vb0', 0, 0);
    expect(step('vb0', 1000, 60).bytesPerSec).toBeGreaterThan(30 * MIB);
    let last = 0;
    for (let second = 2; second <= 30; second += 1) {
      last = step('vb0', second * 1000, 60 + second).bytesPerSec;
    }
    expect(last).toBeLessThan(1.5 * MIB);
  });

  test('the slowest disk decides the time left, and a link that is down means none', () => {
    const { seeds, step } = meter();
    step('vb0', 0, 0);
    step('vb1', 0, 0);
    step('vb0', 1000, 50);
    step('vb1', 1000, 10);
    expect(seeds.view).toMatchObject({
      doneBytes: 60 * MIB,
      totalBytes: 200 * MIB,
      secondsLeft: 9,
    });
    step('vb1', 1100, 10, { down: { forMs: 12_000, limitMs: 60_000 } });
    expect(seeds.view).toMatchObject({ secondsLeft: null, down: { forMs: 12_000 } });
    expect(seeds.view.disks['vb0']?.down).toBeNull();
  });
});

describe('what protect shows', () => {
  test('the sum on a line, each disk, and a link that is waited for', () => {
    const { seeds, step } = meter();
    const written: string[] = [];
    const show = showProgress(false, { write: (text: string) => written.push(text) });
    show({ stage: 'seed' });
    step('vb0', 0, 40);
    const disk = step('vb1', 0, 10, { down: { forMs: 12_000, limitMs: 60_000 } });
    show({ stage: 'seed', device: 'vb1', ...disk, all: seeds.view });
    expect(written[0]).toBe('seed ...\n');
    expect(written[1]).toBe(
      '  copying  25 %  50.0 MiB of 200 MiB  0 B/s  - s left' +
        '  link lost, waiting (12 s of 60); vb0 40 %, vb1 10 %\n',
    );
  });

  test('each stage by its name once, with its own bar, and no bar left open', () => {
    const written: string[] = [];
    const show = showProgress(false, { write: (text: string) => written.push(text) });
    const screen: string[] = [];
    const draw = showProgress(false, {
      isTTY: true,
      write: (text: string) => screen.push(text),
    });
    const reports: readonly ProgressReport[] = [
      { stage: 'fence' },
      { stage: 'write back', doneBytes: 0, totalBytes: 10 * MIB },
      { stage: 'write back', doneBytes: 10 * MIB, totalBytes: 10 * MIB },
      { stage: 'local disks' },
      { stage: 'colo', doneBytes: 1, totalBytes: 4 },
      { stage: 'done' },
    ];
    for (const report of reports) {
      show(report);
      draw(report);
    }
    expect(written.map((line) => line.replace(/%.*/, '%'))).toEqual([
      ...['fence ...\n', 'write back ...\n', '  writing   0 %\n', '  writing 100 %\n'],
      ...['local disks ...\n', 'colo ...\n', '  memory  25 %\n', 'done ...\n'],
    ]);
    expect(screen[screen.indexOf('local disks ...\n') - 1]).toBe('\n');
    expect(screen[screen.indexOf('done ...\n') - 1]).toBe('\n');
  });

  test('what QEMU counts before it copies was not written by the guest', () => {
    const { step } = meter();
    expect(step('vb0', 0, 0, { totalBytes: 13_824 })).toMatchObject({ rewrittenBytes: 0 });
    expect(step('vb0', 1000, 27)).toMatchObject({ rewrittenBytes: 0 });
    const grown = { totalBytes: 103 * MIB };
    expect(step('vb0', 2000, 50, grown)).toMatchObject({ rewrittenBytes: 3 * MIB });
  });

  test('a copy that was under way when it was first seen has the size that it had then', () => {
    const { step } = meter();
    expect(step('vb0', 0, 40)).toMatchObject({ rewrittenBytes: 0 });
    const grown = { totalBytes: 103 * MIB };
    expect(step('vb0', 1000, 50, grown)).toMatchObject({ rewrittenBytes: 3 * MIB });
  });
});
