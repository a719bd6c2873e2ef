import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const LOG = path.resolve(import.meta.dirname, '..', '..', 'dist', 'daemon', 'log.js');

/** Runs `script`, which has `log`, in a process of its own whose stderr is no terminal. */
function logged(script: string, level?: string): { stdout: string; lines: unknown[] } {
  const options = JSON.stringify({ role: 'secondary', level });
  const code = `import { createLogger } from ${JSON.stringify(LOG)};
    const log = createLogger(${options}); ${script}`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', code],
    { encoding: 'utf8' },
  );
  expect(status).toBe(0);
  const lines = stderr.split('\n').filter((line) => line !== '');
  return { stdout, lines: lines.map((line) => JSON.parse(line) as unknown) };
}

describe('the log, where stderr is no terminal', () => {
  test('is one JSON object a line, dated, with its role; stdout stays free', () => {
    const { stdout, lines } = logged(
      `log.info('commit', { epoch: 3, gateClosedMs: 1.5 }); log.error('two\\nlines');`,
    );
    expect(stdout).toBe('');
    const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(lines).toEqual([
      {
        ...{ level: 'info', message: 'commit', epoch: 3, gateClosedMs: 1.5 },
        ...{ role: 'secondary', timestamp: at },
      },
      { level: 'error', message: 'two\nlines', role: 'secondary', timestamp: at },
    ]);
  });

  test('leaves out what is below its level', () => {
    const script = `for (const level of ['error', 'warn', 'info', 'debug']) log.log(level, level);`;
    const told = (level?: string): unknown[] =>
      logged(script, level).lines.map((line) => (line as { level: string }).level);
    expect(told()).toEqual(['error', 'warn', 'info']);
    expect(told('error')).toEqual(['error']);
    expect(told('debug')).toEqual(['error', 'warn', 'info', 'debug']);
  });

  test('tells an error without its stack', () => {
    const { lines } = logged(`log.error(new Error('broken'));`);
    expect(lines).toEqual([expect.objectContaining({ level: 'error', message: 'broken' })]);
    expect(lines).toEqual([expect.not.objectContaining({ stack: expect.anything() })]);
  });
});

describe('the log, where stderr is the journal', () => {
  const logEach = `for (const level of ['error', 'warn', 'info', 'debug']) log.log(level, level);`;
  const lines = (setUp: string): string[] => {
    const code = `import { fstatSync } from 'node:fs';
      import { createLogger } from ${JSON.stringify(LOG)};
      ${setUp}; const log = createLogger({ role: 'primary', level: 'debug' }); ${logEach}`;
    const args = ['--input-type=module', '--eval', code];
    const { stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    return stderr.trimEnd().split('\n');
  };

  test('has the priority of each line in front, as journald reads it', () => {
    const own = 'const { dev, ino } = fstatSync(2); process.env.JOURNAL_STREAM = `${dev}:${ino}`';
    expect(lines(own).map((line) => line.slice(0, 4))).toEqual(['<3>{', '<4>{', '<6>{', '<7>{']);
  });

  test('is as anywhere else where another process has the journal', () => {
    const other = lines(`process.env.JOURNAL_STREAM = '8:123'`);
    expect(other.map((line) => line[0])).toEqual(['{', '{', '{', '{']);
  });
});
