import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { formatBytes } from '@gannet/contract/format';
import { formatTable, type Output, ProgressBar } from '../../src/cli/terminal.js';

const MIB = 1024 * 1024;

let nowMs: number;
beforeEach(() => {
  nowMs = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => {
  jest.restoreAllMocks();
});

function screen(isTTY?: boolean, columns?: number): Output & { written: string[] } {
  const written: string[] = [];
  return { written, write: (text: string) => written.push(text), isTTY, columns };
}

const WORDS = ' 25 %  50.0 MiB of 200 MiB  25.0 MiB/s  6 s left';

describe('a progress bar on a terminal', () => {
  test('redraws itself in place, with rate and time left', () => {
    const output = screen(true);
    const bar = new ProgressBar('copying', output);
    nowMs = 2000;
    bar.update(50 * MIB, 200 * MIB);
    nowMs = 2001;
    bar.update(200 * MIB, 200 * MIB);
    const [quarter, full] = output.written;
    expect(quarter).toBe(
      `\r\u001b[Kcopying ${'█'.repeat(8)}${'░'.repeat(22)} ` +
        ' 25 %  50.0 MiB of 200 MiB  25.0 MiB/s  6 s left',
    );
    expect(full).toContain(`\r\u001b[Kcopying ${'█'.repeat(30)} 100 %`);
    expect(output.written).toHaveLength(2);
  });

  // What goes on in the next row of the terminal could not be redrawn.
  test.each([
    [120, `copying ${'█'.repeat(8)}${'░'.repeat(22)} ${WORDS}  no  limit`],
    [80, `copying ${'█'.repeat(3)}${'░'.repeat(8)} ${WORDS}  no  limit`],
    [60, `copying ${WORDS}`],
    [40, 'copying  25 %  50.0 MiB of 200 MiB'],
    [20, 'copying  25 %'],
    [8, 'copying'],
    [5, 'copy'],
  ])('in %d columns stays in one row', (columns, row) => {
    const output = screen(true, columns);
    const bar = new ProgressBar('copying', output);
    const measured = { bytesPerSec: 25 * MIB, secondsLeft: 6, notes: ['no', 'limit'] };
    bar.update(50 * MIB, 200 * MIB, measured);
    const [written = ''] = output.written;
    expect(written.replace('\r\u001b[K', '').length).toBeLessThan(columns);
    expect(written).toContain(row.slice(0, columns - 1).trimEnd());
  });

  test('leaves the cursor on a fresh line, once', () => {
    const output = screen(true);
    const bar = new ProgressBar('copying', output);
    bar.end();
    expect(output.written).toEqual([]);
    bar.update(1, 2);
    bar.end();
    bar.end();
    expect(output.written.slice(1)).toEqual(['\n']);
  });

  test('bears more done than there was to do, and nothing to do', () => {
    const output = screen(true);
    const bar = new ProgressBar('copying', output);
    nowMs = 10_000;
    bar.update(900, 200);
    bar.update(0, 0);
    expect(output.written[0]).toContain(
      `${'█'.repeat(30)} 100 %  900 B of 200 B  90 B/s  0 s left`,
    );
    expect(output.written[1]).toContain('100 %  0 B of 0 B  0 B/s  0 s left');
  });
});

describe('progress elsewhere', () => {
  test('has no rate in its first moment: one that is measured over nothing is no rate', () => {
    const output = screen();
    nowMs = 0;
    const bar = new ProgressBar('comparing', output);
    nowMs = 0.1;
    bar.update(4 * MIB, 64 * MIB);
    expect(output.written[0]).toBe('comparing   6 %  4.0 MiB of 64.0 MiB  0 B/s  - s left\n');
  });

  test('is plain lines, one a second', () => {
    const output = screen();
    const bar = new ProgressBar('copying', output);
    for (nowMs = 0; nowMs < 3000; nowMs += 100) bar.update(nowMs, 10_000);
    expect(output.written).toHaveLength(3);
    expect(output.written[1]).toBe('copying  10 %  1000 B of 9.8 KiB  1000 B/s  9 s left\n');
    expect(output.written.join('')).not.toContain('\r');
    expect(output.written.join('')).not.toContain('\u001b');
  });

  test('tells the end at once, and once', () => {
    const output = screen();
    const bar = new ProgressBar('copying', output);
    bar.update(1, 2);
    nowMs = 1;
    bar.update(2, 2);
    bar.update(2, 2);
    bar.update(1, 2);
    bar.end();
    expect(output.written.map((line) => /\d+ %/.exec(line)?.[0])).toEqual(['50 %', '100 %']);
  });
});

test.each([
  [0, '0 B'],
  [1, '1 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [100 * 1024, '100 KiB'],
  [MIB, '1.0 MiB'],
  [1.5 * 1024 * MIB, '1.5 GiB'],
  [2 ** 40, '1.0 TiB'],
  [5000 * 2 ** 40, '5000 TiB'],
])('%p bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('a table is aligned, and empty when there are no rows', () => {
  expect(
    formatTable([
      ['a', '1'],
      ['longer', '2'],
    ]),
  ).toBe('  a       1\n  longer  2\n');
  expect(formatTable([])).toBe('');
});
