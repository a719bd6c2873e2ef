import { expect, test } from '@jest/globals';
import { asPrimary, type PrimaryConfig, parseConfig } from '@gannet/contract';
import { linksOf } from '../../src/inspect/disk-links.js';

function primary(nbd: string, tls: Record<string, unknown> = {}): PrimaryConfig {
  const document = {
    vm: 'web',
    qmp: 'unix:/run/qmp.sock',
    tls: { dir: '/etc/gannet/tls', ...tls },
    disks: [{ name: 'root', device: 'vb0' }],
    primary: { nbd, migrate: 'unix:/run/in.sock', peer: 'unix:/run/peer.sock' },
  };
  return asPrimary(parseConfig(JSON.stringify(document), 'web.yaml'));
}

test('a link uses credentials if its address has TLS, and the configured name', () => {
  expect(linksOf(primary('tls:host-b:10809'))).toMatchObject([
    { server: { type: 'inet', host: 'host-b', port: 10809 }, tlsCreds: 'gannet-tls' },
  ]);
  expect(linksOf(primary('tls:host-b:10809'))[0]).not.toHaveProperty('tlsHostname');
  expect(linksOf(primary('tls:h:1', { serverName: 'b' }))).toMatchObject([{ tlsHostname: 'b' }]);
  expect(linksOf(primary('unix:/run/replica.nbd'))[0]).not.toHaveProperty('tlsCreds');
});
