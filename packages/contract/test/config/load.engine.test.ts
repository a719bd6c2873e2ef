import { describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { type Config, parseConfig } from '../../src/config/load.js';

const FILE = '/etc/gannet/web.yaml';
const CARD = { netdev: 'net0', primary: { mirror: 'unix:/run/m', compare: 'unix:/run/c' } };

function parsed(changes: object, primary: object = {}, secondary: object = {}): Config {
  const addresses = { nbd: 'unix:/run/nbd', migrate: 'unix:/run/mig', peer: 'unix:/run/peer' };
  const whole = {
    ...{ vm: 'web', qmp: 'unix:/run/qmp.sock', ...changes },
    disks: [{ name: 'root', device: 'vb0', base: '/images/root.raw' }],
    primary: { ...addresses, ...primary },
    secondary: { nbd: 'unix:/run/nbd', ...secondary },
  };
  return parseConfig(stringify(whole), FILE);
}

describe('the engine', () => {
  test.each([
    [{}, 'colo', 'replication', undefined],
    [{ engine: 'colo' }, 'colo', 'replication', undefined],
    [{ engine: 'vsmr' }, 'vsmr', 'nbd', 'unix:/run/gannet/web.migrate'],
  ])('%j is %s, its link %s, and memory is awaited at %s', (changes, engine, link, migrate) => {
    const config = parsed(changes);
    expect(config.engine).toBe(engine);
    expect(config.primary?.link).toBe(link);
    expect(config.secondary?.migrate).toBe(migrate);
  });

  test('a link and an address that are given stay', () => {
    const config = parsed({ engine: 'vsmr' }, { link: 'mirror' }, { migrate: 'unix:/run/own' });
    expect(config.primary?.link).toBe('mirror');
    expect(config.secondary?.migrate).toBe('unix:/run/own');
  });

  test.each([
    [() => parsed({ engine: 'vsmr', network: [CARD] }), /network: .*does not compare packets yet/],
    [() => parsed({ engine: 'vsmr' }, { link: 'replication' }), /primary\.link: .*nbd or mirror/],
    [() => parsed({ engine: 'vsmr' }, {}, { source: 'external' }), /secondary\.source: /],
    [() => parsed({ engine: 'vsrm' }), /not "vsrm"; did you mean "vsmr"\? \(line/],
    [() => parsed({ engine: 'plover' }), /engine: write one of colo, vsmr, not "plover" \(line/],
    [
      () => parsed({ engine: 'vsmr' }, {}, { migrate: 'tcp:10.0.0.1:9' }),
      /secondary\.migrate: .*tls:/,
    ],
    [
      () => parsed({ engine: 'vsmr' }, {}, { migrate: 'unix:/run/qmp.sock' }),
      /secondary\.migrate: \/run\/qmp\.sock is also qmp/,
    ],
  ])('what does not go together is refused, by its key: %#', (load, message) => {
    expect(load).toThrow(expect.objectContaining({ code: 'GANNET_CONFIG' }));
    expect(load).toThrow(message);
  });
});
