import { access } from 'node:fs/promises';
import { expect, jest, test } from '@jest/globals';
import {
  type Context,
  type Contender,
  takeTurns,
  type Trial,
} from '../../src/harness/comparison.js';
import { entryOf, isCounted, ratioOf, type Result } from '../../src/harness/result.js';
import { Scope } from '../../src/harness/scope.js';
import { fio } from '../../src/harness/fio.js';

function contextOf(rounds: number): Context {
  const progress = { expect: () => undefined, step: () => undefined };
  return { scope: new Scope(), rounds, quick: false, progress };
}

function resultOf(points: Result['points']): Result {
  const host = {} as Result['host'];
  const texts = { name: 'B0', title: '', about: '', measuredAt: '' };
  return {
    ...texts,
    rounds: 5,
    quick: false,
    host,
    contenders: [],
    baseline: 'b',
    points,
    notes: [],
  };
}

const contenders: Contender<string>[] = ['a', 'b'].map((name) => ({
  name,
  setup: '',
  subject: name,
}));
const head = { point: 'p', unit: 'IOPS', better: 'higher' } as const;

test('contenders take turns, and the first round does not count', async () => {
  const calls: string[] = [];
  const trial: Trial<string> = {
    ...head,
    measure: (name, round) => {
      calls.push(`${name}${round}`);
      return Promise.resolve(name === 'a' ? round : 10 * round + 100 * Number(round === 0));
    },
  };
  const points = await takeTurns(contextOf(3), contenders, [trial]);
  expect(calls.join(' ')).toBe('a0 b0 a1 b1 a2 b2 a3 b3');
  const result = resultOf(points);
  expect(entryOf(result, 'p', 'b')).toMatchObject({ median: 20, min: 10, max: 30, count: 3 });
  expect(ratioOf(result, 'p', 'a', 'b')).toBeCloseTo(0.1);
});

test('a contender that failed once is marked and counts nowhere', async () => {
  const calls: string[] = [];
  const trial: Trial<string> = {
    ...head,
    measure: (name, round) => {
      calls.push(`${name}${round}`);
      return name === 'a' && round === 2
        ? Promise.reject(new Error('lost it'))
        : Promise.resolve(7);
    },
  };
  const result = resultOf(await takeTurns(contextOf(3), contenders, [trial]));
  const failed = entryOf(result, 'p', 'a');
  expect(failed).toMatchObject({ count: 1, failures: ['lost it'] });
  expect(isCounted(failed)).toBe(false);
  expect(ratioOf(result, 'p', 'a', 'b')).toBeUndefined();
  expect(calls).not.toContain('a3');
  expect(calls).toContain('b3');
});

test('a benchmark that is being ended measures nothing more', async () => {
  const context = contextOf(3);
  const measure = async (): Promise<number> => {
    await context.scope.close();
    return 1;
  };
  await expect(takeTurns(context, contenders, [{ ...head, measure }])).rejects.toThrow(/ending/);
});

test('a scope undoes in reverse, also after a failure, and leaves nothing behind', async () => {
  const scope = new Scope();
  const done: string[] = [];
  const folder = await scope.folder();
  const running = scope.start(['sleep', '600']);
  scope.defer(() => void done.push('first'));
  scope.defer(() => Promise.reject(new Error('on purpose')));
  scope.defer(() => void done.push('last'));
  const said = jest.spyOn(console, 'error').mockReturnValue();
  const stalled = expect(scope.run(['sleep', '600'], { timeoutMs: 600_000 })).rejects.toThrow(
    /killed/,
  );
  await scope.close();
  await stalled;
  expect(done).toEqual(['last', 'first']);
  expect(running.isOver).toBe(true);
  expect(() => process.kill(running.pid, 0)).toThrow(/ESRCH/);
  expect(said).toHaveBeenCalledWith(expect.stringContaining('on purpose'));
  said.mockRestore();
  await expect(access(folder)).rejects.toThrow(/ENOENT/);
  await expect(scope.run(['true'])).rejects.toThrow(/ending/);
});

test('a program that stalls is killed and reported; one that fails gives its reason', async () => {
  const scope = new Scope();
  await expect(scope.run(['sleep', '600'], { timeoutMs: 50 })).rejects.toThrow(/stalled/);
  await expect(scope.run(['sh', '-c', 'echo why >&2; exit 3'])).rejects.toThrow(
    /exited with 3: why/,
  );
  const load = { rw: 'write', blockBytes: 4096, depth: 1 } as const;
  const nobody = { uri: 'nbd+unix:///?socket=/nonexistent', load, seconds: 0.1, sizeBytes: 4096 };
  await expect(fio(scope, nobody)).rejects.toThrow(/fio/);
  await scope.close();
});
