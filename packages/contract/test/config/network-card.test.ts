import { describe, expect, test } from '@jest/globals';
import { asPrimary, asSecondary, parseConfig } from '../../src/config/load.js';

describe('network cards', () => {
  const text = (network: string): string => `
vm: web
qmp: unix:/run/q
disks: [{ name: disk0, device: vb0, base: /b }]
primary: { nbd: 'unix:/run/n', migrate: 'unix:/run/m', peer: 'unix:/run/p' }
secondary: {}
network: ${network}
`;
  const places = { configDir: '/etc/gannet', runDir: '/run/gannet', stateDir: '/var/lib/gannet' };
  const sockets = '{ mirror: "unix:/t/m", compare: "127.0.0.1:7002" }';

  test('listen in the usual place, and are reached where the file says', () => {
    const config = parseConfig(text(`[{ netdev: net0, primary: ${sockets} }]`), 'web.yaml', places);
    expect(asPrimary(config).network).toEqual([
      {
        netdev: 'net0',
        compareTimeoutMs: 1000,
        primary: {
          mirror: { type: 'unix', path: '/t/m' },
          compare: { type: 'inet', host: '127.0.0.1', port: 7002 },
        },
        secondary: {
          mirror: { type: 'unix', path: '/run/gannet/web.net0.mirror' },
          compare: { type: 'unix', path: '/run/gannet/web.net0.compare' },
        },
      },
    ]);
  });

  test('must say to a primary where the secondary is', () => {
    const config = parseConfig(text('[{ netdev: net0 }]'), 'web.yaml', places);
    expect(() => asPrimary(config)).toThrow('network: net0 has no section `primary`');
    expect(asSecondary(config).network).toHaveLength(1);
  });

  test.each([
    ['[{ netdev: net0 }, { netdev: net0 }]', 'the netdev net0 is listed twice'],
    ['[{ netdev: "a,b" }]', 'network.0.netdev: write the id of the -netdev of QEMU'],
    ['[{ netdev: net0, compareTimeoutMs: 1 }]', 'network.0.compareTimeoutMs'],
    [
      '[{ netdev: net0, primary: { mirror: "10.0.0.1:1" } }]',
      'must be a unix socket, tls:HOST:PORT or a loopback address',
    ],
    [
      '[{ netdev: net0, secondary: { mirror: "tls:127.0.0.1:1" } }]',
      'network.0.secondary.mirror: tls:HOST:PORT needs the section `tls`',
    ],
  ])('%s is refused', (network, message) => {
    expect(() => parseConfig(text(network), 'web.yaml', places)).toThrow(message);
  });
});
