import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import {
  asPrimary,
  asSecondary,
  basesOf,
  type Config,
  loadConfig,
  parseConfig,
} from '../../src/config/load.js';
import { GannetError } from '../../src/errors.js';
import { migrationOf } from '../../src/config/address.js';
import { plaintextKeys } from '../../src/config/tls.js';

type Document = Record<string, unknown>;

const FILE = '/etc/gannet/web.yaml';
const LONG = `/${'s'.repeat(107)}`;

const disk = (changes: Document = {}): Document => ({
  ...{ name: 'root', device: 'vb0', base: '/images/root.raw' },
  ...changes,
});
const primary = (changes: Document = {}): Document => ({
  nbd: 'unix:/run/replica.nbd',
  migrate: 'unix:/run/incoming.sock',
  peer: 'unix:/run/peer.sock',
  ...changes,
});
const secondary = (changes: Document = {}): Document => ({
  nbd: 'unix:/run/replica.nbd',
  ...changes,
});
const whole = (changes: Document = {}): Document => ({
  vm: 'web',
  control: '/run/gannet.ctl',
  qmp: 'unix:/run/qmp.sock',
  disks: [disk()],
  primary: primary(),
  secondary: secondary(),
  ...changes,
});
const without = (key: string): Document =>
  Object.fromEntries(Object.entries(whole()).filter(([name]) => name !== key));

const parsed = (changes: Document): Config => parseConfig(stringify(whole(changes)), FILE);

function refusal(text: string): GannetError {
  try {
    parseConfig(text, FILE);
  } catch (error) {
    if (error instanceof GannetError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('a configuration', () => {
  test('has its defaults', () => {
    const config = parsed({});
    expect(config.primary).toMatchObject({
      ...{ link: 'replication', checkpointPeriodMs: 2000 },
      ...{ stageTimeoutMs: 60_000, seedTimeoutMs: 86_400_000 },
    });
    expect(config.secondary).toEqual({
      nbd: { type: 'unix', path: '/run/replica.nbd' },
      svm: '/run/replica.nbd',
      pollUs: 100,
      peer: { type: 'unix', path: '/run/gannet/web.peer' },
      journal: '/var/lib/gannet/web.journal',
      source: 'colo',
      failover: 'manual',
      overwrite: false,
    });
    expect(config.peer).toEqual({ heartbeatMs: 500, lowMs: 2000, highMs: 5000 });
  });

  test.each([
    [4096, 4096],
    ['4096', 4096],
    ['3KiB', 3 * 2 ** 10],
    ['3 MiB', 3 * 2 ** 20],
    ['2GiB', 2 ** 31],
    ['1TiB', 2 ** 40],
  ])('size %p is %p bytes', (size, bytes) => {
    expect(parsed({ disks: [disk({ size })] }).disks[0]?.size).toBe(bytes);
  });

  test.each([
    ['unix:/run/a.sock', { type: 'unix', path: '/run/a.sock' }],
    ['127.0.0.1:10809', { type: 'inet', host: '127.0.0.1', port: 10809 }],
    ['127.9.8.7:1', { type: 'inet', host: '127.9.8.7', port: 1 }],
    ['localhost:65535', { type: 'inet', host: 'localhost', port: 65535 }],
    ['[::1]:10809', { type: 'inet', host: '::1', port: 10809 }],
  ])('address %s', (text, address) => {
    expect(parsed({ qmp: text }).qmp).toEqual(address);
  });

  const TLS = { dir: '/etc/gannet/tls' };

  test('takes any host with TLS', () => {
    const sockets = { mirror: 'tls:host-b:10812', compare: 'tls:host-b:10813' };
    const config = parsed({
      tls: TLS,
      qmp: 'tls:[2001:db8::1]:4444',
      primary: primary({
        ...{ nbd: 'tls:host-b:10809', peer: 'tls:10.0.0.7:10810', migrate: 'tls:host-b:10811' },
      }),
      secondary: secondary({
        ...{ nbd: 'tls:0.0.0.0:10809', peer: 'tls:[::]:10810', migrate: 'tls:[::]:10811' },
      }),
      network: [{ netdev: 'net0', primary: sockets, secondary: sockets }],
    });
    const migration = { uri: 'tcp:host-b:10811', hasTls: true };
    expect(migrationOf(config.primary?.migrate ?? '')).toEqual(migration);
    expect(config.tls).toEqual({ dir: '/etc/gannet/tls', kind: 'x509', username: 'gannet' });
    expect(config.qmp).toEqual({ type: 'inet', host: '2001:db8::1', port: 4444, tls: true });
  });

  test("keeps the secondary VM's disks on a socket of this host", () => {
    const over = (changes: Document): Config => parsed({ tls: TLS, secondary: secondary(changes) });
    expect(over({}).secondary?.svm).toBe('/run/replica.nbd');
    expect(over({ nbd: 'tls:0.0.0.0:10809' }).secondary?.svm).toBe('/run/gannet/web.nbd');
    expect(over({ nbd: '127.0.0.1:10809', svm: 'unix:/run/s' }).secondary?.svm).toBe('/run/s');
    expect(over({ svm: 'unix:/run/s' }).secondary?.svm).toBe('/run/s');
  });

  test('lets plain TCP leave the host only under the name of its danger', () => {
    const changes = {
      qmp: '10.0.0.7:4444',
      primary: primary({ nbd: 'h:1', peer: 'h:2', migrate: 'tcp:h:3' }),
      secondary: secondary({ nbd: '0.0.0.0:10809', peer: '127.0.0.1:10810' }),
    };
    expect(() => parsed(changes)).toThrow(/plain TCP is allowed on loopback only/);
    const config = parsed({ ...changes, dangerouslyAllowPlaintextBeyondLoopback: true });
    const keys = ['qmp', 'primary.nbd', 'primary.peer', 'secondary.nbd', 'primary.migrate'];
    expect(plaintextKeys(config)).toEqual(keys);
    expect(plaintextKeys(parsed({}))).toEqual([]);
  });

  test('has no secondary VM on another host, whatever secures the way', () => {
    const config = parsed({ tls: TLS, qmp: 'tls:10.0.0.7:4444' });
    expect(asPrimary(config)).toBe(config);
    expect(() => asSecondary(config)).toThrow(/qmp: the secondary VM is on another host/);
    expect(asSecondary(parsed({ tls: TLS, qmp: 'tls:127.0.0.1:4444' })).qmp).toMatchObject({
      tls: true,
    });
  });

  test.each([
    ['a file', '/images/root.raw', undefined],
    ['a device', '/dev/vg/root', '/web-root.gannet'],
    ['a file in memory', '/dev/shm/root.raw', undefined],
  ])('with %s as base puts the state file where it lasts as long', (_what, base, stateFile) => {
    const own = parsed({ disks: [disk({ base })], secondary: secondary({ journal: '/j' }) });
    expect(basesOf(asSecondary(own))).toMatchObject([{ base, stateFile }]);
  });

  test('that names no sockets and no journal has them in the usual places', () => {
    const places = { configDir: '/c', stateDir: '/s', runDir: '/r' };
    const bare = { ...without('control'), secondary: {} };
    const config = parseConfig(stringify(bare), FILE, places);
    expect(config.control).toBe('/r/web.sock');
    expect(config.secondary).toMatchObject({
      nbd: { type: 'unix', path: '/r/web.nbd' },
      peer: { type: 'unix', path: '/r/web.peer' },
      journal: '/s/web.journal',
    });
    const external = { ...bare, secondary: { source: 'external' } };
    expect(parseConfig(stringify(external), FILE, places).secondary?.peer).toBeUndefined();
    const whole = parseConfig(stringify({ ...bare, control: '/x.ctl' }), FILE, places);
    expect(whole.control).toBe('/x.ctl');
  });

  test('whose usual socket would have too long a path is refused, and the key named', () => {
    const places = { configDir: '/c', stateDir: '/s', runDir: LONG };
    expect(() => parseConfig(stringify(without('control')), FILE, places)).toThrow(
      /control: its default is in .* at most 107 bytes/,
    );
  });

  test('accepts the longest socket path that Linux takes', () => {
    const control = LONG.slice(0, 107);
    expect(parsed({ control }).control).toBe(control);
  });
});

describe('a wrong key is named, with the file and what it wants', () => {
  const SIZE = 'write bytes, or a whole number above 0 with KiB, MiB, GiB or TiB';
  const ADDRESS = 'write unix:/path/of.sock, tls:HOST:PORT or HOST:PORT';
  const LOOPBACK = 'plain TCP is allowed on loopback only: write tls:HOST:PORT, or use a unix';
  const NO_TLS = 'tls:HOST:PORT needs the section `tls` with its credentials: docs/how-to/tls.md';
  const MIGRATE = 'write unix:/path/of.sock, tls:HOST:PORT or tcp:HOST:PORT';
  const NAME = 'letters, digits, "_", "." and "-" only';
  const DISK_NAME = 'a letter, then up to 23 letters, digits';
  const TOO_LONG = 'the path of a socket may have at most 107 bytes';
  const ABSOLUTE = 'a socket needs an absolute path';

  const cases: readonly (readonly [key: string, wants: string, document: Document])[] = [
    ['vm', 'is missing: write a text', without('vm')],
    ['vm', NAME, whole({ vm: 'a b' })],
    ['vm', NAME, whole({ vm: '' })],
    ['vm', NAME, whole({ vm: 'v'.repeat(65) })],
    ['vm', 'must be a text, but is a number', whole({ vm: 7 })],
    ['control', ABSOLUTE, whole({ control: 'run/gannet.ctl' })],
    ['control', TOO_LONG, whole({ control: LONG })],
    ['control', TOO_LONG, whole({ control: `/${'é'.repeat(54)}` })],
    ['qmp', 'is missing: write a text', without('qmp')],
    ['qmp', ADDRESS, whole({ qmp: '/run/qmp.sock' })],
    ['qmp', ADDRESS, whole({ qmp: 'localhost' })],
    ['qmp', ADDRESS, whole({ qmp: 'localhost:65536' })],
    ['qmp', ADDRESS, whole({ qmp: 'localhost:0' })],
    ['qmp', ABSOLUTE, whole({ qmp: 'unix:qmp.sock' })],
    ['qmp', TOO_LONG, whole({ qmp: `unix:${LONG}` })],
    ['qmp', LOOPBACK, whole({ qmp: '10.0.0.7:4444' })],
    ['qmp', LOOPBACK, whole({ qmp: '0.0.0.0:4444' })],
    ['qmp', LOOPBACK, whole({ qmp: '127.0.0.1.example.org:4444' })],
    ['qmp', LOOPBACK, whole({ qmp: '127.0.0.999:4444' })],
    ['disks', 'is missing: write a list', without('disks')],
    ['disks', 'must not be empty', whole({ disks: [] })],
    ['disks', 'two disks have the name root', whole({ disks: [disk(), disk({ device: 'vb1' })] })],
    ['disks.0.name', DISK_NAME, whole({ disks: [disk({ name: 'a/b' })] })],
    [
      'disks.1.device',
      'must not be empty',
      whole({ disks: [disk(), disk({ name: 'b', device: '' })] }),
    ],
    ['disks.0.base', 'write an absolute path', whole({ disks: [disk({ base: 'root.raw' })] })],
    ...[0, '0', '0 KiB', -1, 1.5, '1 GB', '1.5GiB', 'all', '9999999TiB', true, [1]].map(
      (size) => ['disks.0.size', SIZE, whole({ disks: [disk({ size })] })] as const,
    ),
    [
      'primary.link',
      'write one of replication, nbd, mirror',
      whole({ primary: primary({ link: 'rbd' }) }),
    ],
    ['primary.nbd', LOOPBACK, whole({ primary: primary({ nbd: 'replica.example.org:10809' }) })],
    ['primary.nbd', 'is missing: write a text', whole({ primary: primary({ nbd: undefined }) })],
    ['primary.migrate', MIGRATE, whole({ primary: primary({ migrate: 'exec:cat' }) })],
    ['primary.migrate', MIGRATE, whole({ primary: primary({ migrate: 'tcp:localhost' }) })],
    ['primary.migrate', LOOPBACK, whole({ primary: primary({ migrate: 'tcp:10.0.0.7:4444' }) })],
    ['primary.migrate', NO_TLS, whole({ primary: primary({ migrate: 'tls:host-b:1' }) })],
    ['secondary.migrate', NO_TLS, whole({ secondary: secondary({ migrate: 'tls:[::]:1' }) })],
    ['secondary.migrate', LOOPBACK, whole({ secondary: secondary({ migrate: 'tcp:h:1' }) })],
    ['primary.migrate', ABSOLUTE, whole({ primary: primary({ migrate: 'unix:in.sock' }) })],
    ['primary.migrate', TOO_LONG, whole({ primary: primary({ migrate: `unix:${LONG}` }) })],
    ['primary.peer', 'HOST:PORT', whole({ primary: primary({ peer: 'secondary.ctl' }) })],
    [
      'primary.checkpointPeriodMs',
      'must be at least 10',
      whole({ primary: primary({ checkpointPeriodMs: 9 }) }),
    ],
    [
      'primary.checkpointPeriodMs',
      'must be at most 3600000',
      whole({ primary: primary({ checkpointPeriodMs: 3_600_001 }) }),
    ],
    [
      'primary.stageTimeoutMs',
      'must be above 0',
      whole({ primary: primary({ stageTimeoutMs: 0 }) }),
    ],
    [
      'primary.seedTimeoutMs',
      'must be a whole number',
      whole({ primary: primary({ seedTimeoutMs: 0.5 }) }),
    ],
    ['secondary.nbd', LOOPBACK, whole({ secondary: secondary({ nbd: '192.168.1.2:10809' }) })],
    ['secondary.peer', LOOPBACK, whole({ secondary: secondary({ peer: '[::]:10810' }) })],
    ['primary.peer', LOOPBACK, whole({ primary: primary({ peer: 'host-b:10810' }) })],
    ['secondary.svm', 'this host', whole({ secondary: secondary({ svm: 'tls:host-b:1' }) })],
    ['qmp', NO_TLS, whole({ qmp: 'tls:10.0.0.7:4444' })],
    ['primary.nbd', NO_TLS, whole({ primary: primary({ nbd: 'tls:127.0.0.1:10809' }) })],
    ['secondary.peer', NO_TLS, whole({ secondary: secondary({ peer: 'tls:[::]:10810' }) })],
    ['tls.dir', 'write an absolute path', whole({ tls: { dir: 'tls' } })],
    ['tls.kind', 'write one of x509, psk', whole({ tls: { dir: '/t', kind: 'anon' } })],
    ['tls.username', NAME, whole({ tls: { dir: '/t', username: 'a:b' } })],
    ['tls.clients', 'must not be empty', whole({ tls: { dir: '/t', clients: [] } })],
    [
      'secondary.source',
      'write one of colo, external',
      whole({ secondary: secondary({ source: 'xen' }) }),
    ],
    [
      'secondary.journal',
      'write an absolute path',
      whole({ secondary: secondary({ journal: 'j' }) }),
    ],
    [
      'secondary.overwrite',
      'must be true or false, but is a number',
      whole({ secondary: secondary({ overwrite: 1 }) }),
    ],
    [
      'secondary.memory.hard',
      SIZE,
      whole({ secondary: secondary({ memory: { hard: 'plenty' } }) }),
    ],
    [
      'secondary.memory',
      'soft must not exceed hard',
      whole({ secondary: secondary({ memory: { soft: '2GiB', hard: '1GiB' } }) }),
    ],
    [
      'secondary.memory.onFull',
      'write one of slow, spill, release',
      whole({ secondary: secondary({ memory: { onFull: 'panic' } }) }),
    ],
    [
      'secondary.memory.spillDirectory',
      'write an absolute path',
      whole({ secondary: secondary({ memory: { onFull: 'spill', spillDirectory: 'here' } }) }),
    ],
    [
      'secondary.memory.spillLimit',
      SIZE,
      whole({ secondary: secondary({ memory: { onFull: 'spill', spillLimit: '0GiB' } }) }),
    ],
    [
      'secondary.memory',
      'are for `onFull: spill`',
      whole({ secondary: secondary({ memory: { spillLimit: '1GiB' } }) }),
    ],
    ['the file', 'there is no key "diskz" here', whole({ diskz: [] })],
    ['disks.0', 'there is no key "formats" here', whole({ disks: [disk({ formats: 'raw' })] })],
    ['disks.0.format', 'use one of raw', whole({ disks: [disk({ format: 'iso' })] })],
    ['disks.0.format', 'not be protected again', whole({ disks: [disk({ format: 'vdi' })] })],
    ['primary', 'there is no key "period" here', whole({ primary: primary({ period: 1 }) })],
    ['secondary', 'there is no key "links" here', whole({ secondary: secondary({ links: 1 }) })],
    [
      'secondary.memory',
      'there is no key "max" here',
      whole({ secondary: secondary({ memory: { max: 1 } }) }),
    ],
  ];

  test.each(cases)('%s: %s', (key, wants, document) => {
    const error = refusal(stringify(document));
    expect(error).toMatchObject({ code: 'GANNET_CONFIG', exit: 'usage' });
    const [first, ...findings] = error.message.split('\n');
    expect(first).toBe(`${FILE}:`);
    expect(findings).toContainEqual(expect.stringContaining(`  ${key}: `));
    expect(findings.find((line) => line.startsWith(`  ${key}: `))).toContain(wants);
    expect(error.remedy).not.toBe('');
  });

  test('all of them at once', () => {
    const { message } = refusal(stringify(whole({ vm: '', control: 'x', qmp: 'y' })));
    expect(message.split('\n').map((line) => line.split(':')[0])).toEqual([
      ...[FILE, '  vm', '  control', '  qmp'],
    ]);
  });

  test.each(['', '- 1\n', 'text', '42'])('a document that is no mapping: %p', (text) => {
    expect(refusal(text).message).toMatch(
      /\n {2}the file: (must be|is missing: write) a mapping of keys to values/,
    );
  });

  test('what is not YAML, with its line', () => {
    const { message } = refusal('vm: web\ncontrol: [\n');
    expect(message).toMatch(/^\/etc\/gannet\/web\.yaml is not valid YAML: .*line \d/s);
  });

  test.each([
    ['a tag that nobody knows', 'vm: !other web', /is not valid YAML: Unresolved tag: !other/],
    ['an alias of nothing', 'vm: *other', /is not valid YAML: Unresolved alias .*: other/],
  ])('%s', (_what, text, message) => {
    expect(refusal(text).message).toMatch(message);
  });

  test('a key that is there twice', () => {
    expect(refusal(`${stringify(whole())}vm: other\n`).message).toMatch(/keys must be unique/);
  });
});

describe('sections', () => {
  test('a primary without its section', () => {
    expect(() => asPrimary(parsed({ primary: undefined }))).toThrow(/no section `primary`/);
  });

  test('a secondary without its section, or without a base', () => {
    expect(() => asSecondary(parsed({ secondary: undefined }))).toThrow(/no section `secondary`/);
    const disks = [disk(), disk({ name: 'data', device: 'vb1', base: undefined })];
    expect(() => asSecondary(parsed({ disks }))).toThrow('disks: data has no base');
  });

  test('what a role lacks is named with the file, the line and the column', () => {
    const text = [
      'vm: web',
      'qmp: tls:beta:4444',
      'tls: { dir: /tls }',
      'disks:',
      '  - { name: root, device: vb0, base: /r.raw }',
      '  - { name: data, device: vb1 }',
      'secondary: { failover: automatic }',
    ];
    const lacks = (lines: readonly string[]): string => {
      const config = parseConfig(lines.join('\n'), FILE);
      try {
        asSecondary(config);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(lacks(text)).toBe(`${FILE}:\n  disks: data has no base (line 6, column 5)`);
    const next = text.with(5, '');
    expect(lacks(next)).toBe(
      `${FILE}:\n  secondary.failover: automatic failover needs a \`fence\` (line 7, column 14)`,
    );
    expect(lacks(next.with(6, 'secondary: {}'))).toMatch(/:\n {2}qmp: .* \(line 2, column 1\)$/);
    expect(lacks(next.slice(0, 5))).toBe(
      `${FILE}:\n  the configuration has no section \`secondary\``,
    );
  });

  test('are given as they are when they are there', () => {
    const config = parsed({});
    expect(asPrimary(config)).toBe(config);
    expect(asSecondary(config)).toBe(config);
  });
});

describe('loadConfig', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-config-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('reads a file', async () => {
    const file = path.join(dir, 'web.yaml');
    await writeFile(file, stringify(whole()));
    expect((await loadConfig(file)).vm).toBe('web');
  });

  test.each([
    ['missing.yaml', 'there is no such file'],
    ['.', 'EISDIR'],
  ])('names %s when it cannot be read', async (name, why) => {
    const file = path.join(dir, name);
    const error = await loadConfig(file).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'GANNET_CONFIG', exit: 'usage' });
    expect((error as Error).message).toContain(`the configuration ${file} cannot be read: ${why}`);
  });
});
