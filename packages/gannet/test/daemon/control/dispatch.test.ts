import { expect, test } from '@jest/globals';
import { METHODS, type MethodName } from '@gannet/contract';
import { methodsOf, type Operate } from '../../../src/daemon/control/dispatch.js';

test('what changes something is an operation of its caller, and nothing else is', async () => {
  const handlers = Object.fromEntries(Object.keys(METHODS).map((name) => [name, () => 'done']));
  const operated: string[] = [];
  const operate: Operate = (name, actor, work) => {
    operated.push(`${name} by ${actor}`);
    return work();
  };
  const methods = methodsOf(() => Promise.resolve({ who: 'x', handlers }), operate);
  const none = (): void => undefined;
  for (const name of Object.keys(methods) as MethodName[]) {
    const params = name === 'seed-rate' ? { bytesPerSec: 0 } : {};
    expect(await methods[name](params, none, 'anna')).toBe('done');
  }
  const changing = [
    'protect',
    'reprotect',
    'seed-rate',
    'verify',
    'move',
    'failover',
    'detach',
    'snapshot',
  ];
  expect(operated).toEqual(changing.map((name) => `${name} by anna`));
  await methods.protect({}, none);
  expect(operated.at(-1)).toBe('protect by a program at the control socket');
  // What is refused for its parameters has not begun.
  await expect(methods.protect({ rate: 7 }, none)).rejects.toMatchObject({ code: 'GANNET_USAGE' });
  expect(operated).toHaveLength(9);
});

test.each([
  ['protect', 'secondary', 'primary'],
  ['snapshot', 'primary', 'secondary'],
] as const)(
  '%s, asked of the %s, names the right host and nothing that is no command',
  async (name, is, of) => {
    const methods = methodsOf(() =>
      Promise.resolve({
        who: `the ${is} of web`,
        handlers: { status: () => 'x', seal: () => 'x' },
      }),
    );
    await expect(methods[name]({}, () => undefined)).rejects.toMatchObject({
      exit: 'refused',
      message: `${name} is for the daemon of the ${of}: this one is the ${is} of web`,
      remedy: `Run it on the host of the ${of}.`,
    });
  },
);
