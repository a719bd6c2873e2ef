import { describe, expect, test } from '@jest/globals';
import { describeError, EXIT, type ExitName, GannetError } from '../src/errors.js';

describe('describeError', () => {
  test('keeps what an error of ours says', () => {
    const error = new GannetError('REFUSED', 'no', 'Ask again.', 'refused', { cause: 'x' });
    expect(describeError(error)).toEqual({
      ...{ code: 'REFUSED', message: 'no', remedy: 'Ask again.', exit: 'refused' },
    });
    expect(new GannetError('TIMEOUT', 'late', '').exit).toBe('failed');
  });

  test("keeps the code and remedy of another package's error", () => {
    const error = Object.assign(new Error('small'), { code: 'REPLICA_BASE_SIZE', remedy: 'Grow it.' });
    expect(describeError(error)).toEqual({
      ...{ code: 'REPLICA_BASE_SIZE', message: 'small', remedy: 'Grow it.', exit: 'failed' },
    });
  });

  test.each<[what: unknown, message: string]>([
    [new TypeError('x is not a function'), 'x is not a function'],
    ['a string', 'a string'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
    [{ code: 7, message: 8, remedy: 9, exit: 'toString' }, '[object Object]'],
  ])('makes something to show of %p', (error, message) => {
    const remedy = expect.stringContaining('a mistake in Gannet: report it');
    expect(describeError(error)).toEqual({ code: 'INTERNAL', message, remedy, exit: 'failed' });
  });

  test.each([
    ['NBD_LISTEN', 'choose another address'],
    ['connection-lost', 'See whether QEMU still runs'],
    ['EACCES', 'The system refused it'],
    ['SOMETHING', 'a mistake in Gannet'],
  ])('has a remedy where an error %s has none', (code, words) => {
    const error = Object.assign(new Error('no'), { code });
    expect(describeError(error)).toMatchObject({ code, remedy: expect.stringContaining(words) });
  });

  test.each(Object.entries(EXIT))('knows the exit %s', (name, code) => {
    const error = new GannetError('INTERNAL', '', '', name as ExitName);
    expect(EXIT[describeError(error).exit]).toBe(code);
  });
});

test('exit codes are those of the manual', () => {
  expect(EXIT).toEqual({ done: 0, failed: 1, usage: 2, degraded: 3, refused: 4, timeout: 5 });
});
