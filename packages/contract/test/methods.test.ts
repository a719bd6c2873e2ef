import { describe, expect, test } from '@jest/globals';
import type { ControlClient } from '../src/client.js';
import { METHODS, type MethodName, parseParams } from '../src/methods.js';

describe('parameters', () => {
  test.each<[MethodName, object]>([
    ['failover', { force: true }],
    ['failover', {}],
    ['seed-rate', { bytesPerSec: 0 }],
    ['protect', {}],
    ['inspect', { peer: true }],
  ])('%s takes %j', (method, params) => expect(parseParams(method, params)).toEqual(params));

  test.each<[MethodName, object, string]>([
    ['failover', { force: 'yes' }, 'force'],
    ['failover', { forced: true }, 'forced'],
    ['status', { force: true }, 'force'],
    ['seed-rate', {}, 'bytesPerSec'],
    ['seed-rate', { bytesPerSec: -1 }, 'bytesPerSec'],
    ['protect', { bytesPerSec: 1.5 }, 'bytesPerSec'],
    ['protect', { bytesPerSec: '50MiB' }, 'bytesPerSec'],
  ])('%s refuses %j and names what is wrong', (method, params, name) => {
    expect(() => parseParams(method, params)).toThrow(
      expect.objectContaining({
        code: 'GANNET_USAGE',
        exit: 'usage',
        message: expect.stringContaining(`parameter \`${name}\` of ${method}: `),
      }),
    );
  });
});

test('each method has a text, and a daemon that has it', () => {
  for (const { text, roles } of Object.values(METHODS)) {
    expect(text).toMatch(/^[a-z].*[^.]$/);
    expect(roles.length).toBeGreaterThan(0);
  }
});

/** Never called: it is there for the compiler. */
async function misuse(client: ControlClient): Promise<void> {
  const { takenOverMs } = await client.call('failover', { force: true });
  expect(takenOverMs?.toFixed()).toBeDefined();
  // @ts-expect-error -- a misspelt method
  await client.call('fail-over');
  // @ts-expect-error -- a misspelt parameter
  await client.call('failover', { forced: true });
  // @ts-expect-error -- a parameter of the wrong type
  await client.call('seed-rate', { bytesPerSec: '50MiB' });
  // @ts-expect-error -- a result has no such key
  expect((await client.call('page')).address).toBeDefined();
}

test('methods, parameters and results are checked by the compiler', () => {
  expect(misuse).toBeInstanceOf(Function);
});
