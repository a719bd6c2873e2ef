import { describe, expect, it } from '@jest/globals';
import { migrationSource, routeTo } from '../../src/inspect/routes.js';

const KEY = 'primary.migrate';
const said = (found: object) => () => Promise.resolve(JSON.stringify([found]));

describe('routeTo', () => {
  it.each([
    [
      'a neighbour',
      { dst: '192.0.2.2', dev: 'eth0', prefsrc: '192.0.2.1', flags: [], cache: [] },
      '192.0.2.2 dev eth0 src 192.0.2.1',
    ],
    [
      'a host behind a router',
      { dst: '203.0.113.4', gateway: '192.0.2.254', dev: 'eth0', prefsrc: '192.0.2.1' },
      '203.0.113.4 via 192.0.2.254 dev eth0 src 192.0.2.1',
    ],
    [
      'a host behind a router with an IPv6 address',
      { dst: '203.0.113.4', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth0' },
      '203.0.113.4 via inet6 fe80::1 dev eth0',
    ],
    [
      'this host',
      { type: 'local', dst: '127.0.0.1', dev: 'lo', prefsrc: '127.0.0.1', cache: ['local'] },
      'local 127.0.0.1 dev lo src 127.0.0.1',
    ],
  ])('%s', async (_what, found, route) => {
    const { dst: address } = found;
    const [slow] = await routeTo(KEY, address, said(found));
    expect(slow).toEqual({ key: KEY, address, route, hasQuickAck: false });
    const [quick] = await routeTo(KEY, address, said({ ...found, metrics: [{ quickack: 1 }] }));
    expect(quick).toEqual({ key: KEY, address, route, hasQuickAck: true });
    const [other] = await routeTo(KEY, address, said({ ...found, metrics: [{ mtu: 1400 }] }));
    expect(other?.hasQuickAck).toBe(false);
  });

  it('asks for the address of a name', async () => {
    const asked: string[] = [];
    await routeTo(KEY, 'localhost', (args) => {
      asked.push(args.join(' '));
      return Promise.resolve('[]');
    });
    expect(asked).toEqual([expect.stringMatching(/^-json route get (127\.0\.0\.1|::1)$/)]);
  });

  it.each([
    ['an IPv6 address of this host', '::1', said({ type: 'local', dst: '::1', dev: 'lo' })],
    ['no `ip`', '192.0.2.2', () => Promise.reject(new Error('ENOENT'))],
    ['an `ip` that knows no JSON', '192.0.2.2', () => Promise.resolve('192.0.2.2 dev eth0')],
    ['a blackhole', '192.0.2.2', said({ type: 'blackhole', dst: '192.0.2.2' })],
  ])('knows of no route: %s', async (_what, host, run) => {
    expect(await routeTo(KEY, host, run)).toEqual([]);
  });
});

it.each([
  [undefined, '192.0.2.1', undefined],
  [{ type: 'unix', path: '/run/in' }, '192.0.2.1', undefined],
  [{ type: 'inet', host: '0.0.0.0', port: 1 }, '192.0.2.1', '192.0.2.1'],
  [{ type: 'inet', host: '::', port: 1 }, '::ffff:192.0.2.1', '192.0.2.1'],
  [{ type: 'inet', host: '::', port: 1 }, '2001:db8::1', '2001:db8::1'],
  [{ type: 'inet', host: '0.0.0.0', port: 1 }, undefined, undefined],
  [{ type: 'inet', host: '127.0.0.1', port: 1 }, '192.0.2.1', '127.0.0.1'],
] as const)('a migration to %j with the peer at %s comes from %s', (migrate, peer, expected) => {
  expect(migrationSource(migrate, peer)).toBe(expected);
});
