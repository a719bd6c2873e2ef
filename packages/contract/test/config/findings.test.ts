import { describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { configKeys } from '../../src/config/keys.js';
import { parseConfig } from '../../src/config/load.js';

type Document = Record<string, unknown>;

const WHOLE = `vm: web
qmp: unix:/run/qmp.sock
disks:
  - name: root
    device: vb0
    base: /images/root.raw
  - { name: data, device: vb1, base: /images/data.raw }
network:
  - netdev: net0
    primary:
      mirror: unix:/run/m
      compare: unix:/run/c
    secondary: { mirror: unix:/run/m2, compare: unix:/run/c2 }
peer:
  lowMs: 2000
fence:
  command: [/usr/local/sbin/fence]
http:
  listen: 127.0.0.1:9470
  tls: { cert: /c.pem, key: /k.pem }
tls:
  dir: /etc/gannet/tls
primary:
  nbd: unix:/run/replica.nbd
  migrate: unix:/run/incoming.sock
  peer: unix:/run/peer.sock
  verify: { everyHours: 24 }
secondary:
  memory: {}
  snapshot: {}
`;

/** The lines about keys, without the name of the file. */
function findings(text: string): string[] {
  try {
    parseConfig(text, '/etc/gannet/web.yaml');
  } catch (error) {
    const [first, ...lines] = (error as Error).message.split('\n');
    expect(first).toBe('/etc/gannet/web.yaml:');
    return lines.map((line) => line.trim());
  }
  return [];
}

test('a file without a flaw has no findings', () => {
  expect(findings(WHOLE)).toEqual([]);
});

describe('a finding has the line and the column', () => {
  test.each([
    ['of its key', 'dir: /etc/gannet/tls', 'dir: tls', 'tls.dir', 22, 3],
    ['in a list', 'device: vb0', "device: ''", 'disks.0.device', 5, 5],
    ['in one line', 'device: vb1', 'device: 7', 'disks.1.device', 7, 19],
    [
      'of a section within one',
      'compare: unix:/run/c\n',
      'compare: c\n',
      'network.0.primary.compare',
      12,
      7,
    ],
    ['of the section whose key is missing', '    device: vb0\n', '', 'disks.0.device', 4, 5],
    ['of a key that there is not', '  dir:', '  kinds: x509\n  dir:', 'tls', 22, 3],
    ['of a place that is used twice', '/images/data.raw', '/images/root.raw', 'disks', 3, 1],
  ])('%s', (_what, was, is, key, line, column) => {
    expect(WHOLE).toContain(was);
    const found = findings(WHOLE.replace(was, is));
    expect(found).toHaveLength(1);
    const place = `\\(line ${line}, column ${column}\\)$`;
    expect(found[0]).toMatch(new RegExp(`^${key}: .+ ${place}`));
  });

  test('of the anchor, where an alias leads to it', () => {
    const text = WHOLE.replace(
      'primary:\n      mirror: unix:/run/m\n',
      'primary: &ends\n      mirror: m\n',
    );
    const aliased = text.replace(/secondary: \{ mirror.*/, 'secondary: *ends');
    expect(findings(aliased)).toEqual([
      expect.stringMatching(/^network\.0\.primary\.mirror: .* \(line 11, column 7\)$/),
      expect.stringMatching(/^network\.0\.secondary\.mirror: .* \(line 11, column 7\)$/),
    ]);
  });

  test('but not where nothing of it is in the file', () => {
    expect(findings(WHOLE.replace('vm: web\n', ''))).toEqual(['vm: is missing: write a text']);
  });
});

describe('a key that there is not', () => {
  test.each([
    ['qpm: x', 'the file: there is no key "qpm" here; did you mean "qmp"?'],
    ['colour: red', 'the file: there is no key "colour" here'],
  ])('at the top: %s', (line, finding) => {
    expect(findings(`${WHOLE}${line}\n`)).toEqual([`${finding} (line 31, column 1)`]);
  });

  test.each([
    ['disks.0', 'name: root', 'name: root\n    sise: 1 GiB', 'size'],
    [
      'primary',
      'nbd: unix:/run/replica.nbd',
      'nbd: unix:/run/replica.nbd\n  onSecondaryLoss: wait',
      'onSecondaryLost',
    ],
    [
      'network.0.primary',
      'mirror: unix:/run/m\n',
      'mirror: unix:/run/m\n      miror: a\n',
      'mirror',
    ],
    ['secondary.memory', 'memory: {}', 'memory: { sotf: 1 GiB }', 'soft'],
    ['http', 'listen:', 'host: [a]\n  listen:', 'hosts'],
  ])('in %s has the one that was meant', (key, was, is, meant) => {
    expect(findings(WHOLE.replace(was, is))).toEqual([
      expect.stringMatching(
        new RegExp(`^${key}: there is no key "\\w+" here; did you mean "${meant}"\\? \\(`),
      ),
    ]);
  });

  test('is one finding for each of them', () => {
    expect(findings(`${WHOLE}a: 1\nzz: 2\n`)).toHaveLength(2);
  });
});

describe('no word of zod is left, whatever a key has', () => {
  const WRONG = [
    null,
    true,
    7,
    -1,
    0,
    0.5,
    1e15,
    '',
    'x',
    'a b',
    '/',
    ':0',
    [],
    [''],
    [7],
    {},
    { x: 1 },
  ];

  /** The value at `network[].primary.mirror` is put there. */
  function changed(key: string, value: unknown): string {
    const document = parse(WHOLE) as Document;
    const steps = key.split('.');
    const last = steps.pop() ?? '';
    let at = document;
    for (const step of steps) {
      const next = at[step.replace('[]', '')];
      at = (Array.isArray(next) ? next[0] : next) as Document;
    }
    at[last] = value;
    return stringify(document);
  }

  test.each(configKeys().map(({ key }) => key))('%s', (key) => {
    const found = WRONG.flatMap((value) => findings(changed(key, value)));
    expect(found.length).toBeGreaterThan(3);
    for (const line of found) {
      expect(line).not.toMatch(/invalid|expected|received|too (small|big)|zod|undefined|NaN/i);
      expect(line).toMatch(/^(the file|[a-zA-Z0-9.]+): .+ \(line \d+, column \d+\)$/);
    }
  });
});
