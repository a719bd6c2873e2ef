import { expect, test } from '@jest/globals';
import type { SeedView } from '@gannet/contract';
import { showProgress } from '../../src/cli/progress.js';

const MIB = 2 ** 20;
const DISK: SeedView = {
  ...{ doneBytes: 30 * MIB, totalBytes: 60 * MIB, rewrittenBytes: 12 * MIB },
  ...{ bytesPerSec: 2 * MIB, secondsLeft: 15, limitBytesPerSec: 2 * MIB, down: null },
};

/** What is shown of a first copy. */
function shown(disks: Readonly<Record<string, SeedView>>): string {
  const views = Object.values(disks);
  const sum = (key: 'doneBytes' | 'totalBytes' | 'bytesPerSec' | 'limitBytesPerSec'): number =>
    views.reduce((total, view) => total + view[key], 0);
  const all = {
    ...{ doneBytes: sum('doneBytes'), totalBytes: sum('totalBytes') },
    ...{ bytesPerSec: sum('bytesPerSec'), limitBytesPerSec: sum('limitBytesPerSec') },
    rewrittenBytes: views.reduce((total, { rewrittenBytes = 0 }) => total + rewrittenBytes, 0),
    ...{ secondsLeft: 15, down: null, disks },
  };
  const lines: string[] = [];
  const output = { write: (text: string) => lines.push(text) };
  showProgress(false, output)({ stage: 'seed', device: 'vb0', ...DISK, all });
  return lines.join('');
}

test('a copy says how much of it the guest wrote meanwhile: the rest is the disk', () => {
  expect(shown({ vb0: DISK })).toContain(
    ' 50 %  30.0 MiB of 60.0 MiB  2.0 MiB/s  15 s left  ' +
      '12.0 MiB written again by the guest; limit 2.0 MiB/s\n',
  );
  const still = { ...DISK, rewrittenBytes: 0, limitBytesPerSec: 0 };
  expect(shown({ vb0: still })).toMatch(/15 s left\n$/);
});

test('the limit is that of each disk, as it was given', () => {
  const lines = shown({ vb0: DISK, vb1: DISK });
  expect(lines).toContain('60.0 MiB of 120 MiB  4.0 MiB/s');
  expect(lines).toContain('; limit 2.0 MiB/s per disk; vb0 50 %, vb1 50 %\n');
  expect(shown({ vb0: DISK, vb1: { ...DISK, limitBytesPerSec: 0 } })).toContain(
    'limit 2.0 MiB/s, none per disk',
  );
});

test('before anything is copied there are no figures, unless the link is down', () => {
  const begins = { ...DISK, doneBytes: 0, totalBytes: 13_824, rewrittenBytes: 0, bytesPerSec: 0 };
  expect(shown({ vb0: begins })).toBe('seed ...\n');
  expect(shown({ vb0: { ...begins, totalBytes: 0 } })).toBe('seed ...\n');
});
