import { describe, expect, test } from '@jest/globals';
import { type Config, parseConfig } from '../../src/config/load.js';
import { GannetError } from '../../src/errors.js';

type Document = Record<string, unknown>;

const disk = (name: string, more: Document = {}): Document => ({
  ...{ name, device: `dev-${name}`, base: `/images/${name}.raw` },
  ...more,
});
const primary = (more: Document = {}): Document => ({
  ...{ nbd: 'unix:/run/x.nbd', migrate: 'unix:/run/x.mig', peer: 'unix:/run/x.peer' },
  ...more,
});

function parsed(more: Document): Config {
  const places = { configDir: '/etc/g', runDir: '/run/g', stateDir: '/var/g' };
  const document = { vm: 'web', qmp: 'unix:/run/q.qmp', disks: [disk('a')], ...more };
  return parseConfig(JSON.stringify(document), 'web.yaml', places);
}

/** findings.test.ts looks at line and column. */
function withoutPlaces(message: string): string {
  return message.replace(/ \(line 1, column \d+\)$/gm, '');
}

function refusalOf(more: Document): string {
  try {
    parsed(more);
  } catch (error) {
    if (error instanceof GannetError && error.code === 'GANNET_CONFIG') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a configuration is refused in which one place has two purposes', () => {
  test.each<[string, Document, string]>([
    [
      'peer = qmp',
      { secondary: { peer: 'unix:/run/q.qmp' } },
      'secondary.peer: /run/q.qmp is also qmp',
    ],
    [
      'nbd = qmp',
      { secondary: { nbd: 'unix:/run/q.qmp' } },
      'secondary.nbd: /run/q.qmp is also qmp',
    ],
    ['control = qmp', { control: '/run/q.qmp' }, 'qmp: /run/q.qmp is also control'],
    [
      'peer = control, by its default',
      { secondary: { peer: 'unix:/run/g/web.sock' } },
      'secondary.peer: /run/g/web.sock is also control',
    ],
    [
      'nbd = peer',
      { secondary: { nbd: 'unix:/run/s', peer: 'unix:/run/s' } },
      'secondary.peer: /run/s is also secondary.nbd',
    ],
    [
      'svm = peer',
      { secondary: { svm: 'unix:/run/s', peer: 'unix:/run/s' } },
      'secondary.peer: /run/s is also secondary.svm',
    ],
    [
      'nbd = peer, one TCP port',
      { secondary: { nbd: '127.0.0.1:10809', peer: '127.0.0.1:10809' } },
      'secondary.peer: 127.0.0.1:10809 is also secondary.nbd',
    ],
    [
      'a base = peer, spelt differently',
      { secondary: { peer: 'unix:/images/../images//a.raw' } },
      'secondary.peer: /images/a.raw is also disks: the base of a',
    ],
    [
      'journal = a base',
      { secondary: { journal: '/images/a.raw' } },
      'secondary.journal: /images/a.raw is also disks: the base of a',
    ],
    [
      'journal = the state file of a base',
      { secondary: { journal: '/images/a.raw.gannet' } },
      'secondary.journal: /images/a.raw.gannet is also disks: the state file of a',
    ],
    [
      'journal = the state file of a base in memory',
      {
        disks: [disk('a', { base: '/dev/shm/a.raw' })],
        secondary: { journal: '/dev/shm/a.raw.gannet' },
      },
      'secondary.journal: /dev/shm/a.raw.gannet is also disks: the state file of a',
    ],
    [
      'two disks, one base',
      { secondary: {}, disks: [disk('a'), disk('b', { base: '/images/a.raw' })] },
      'disks: the base of b: /images/a.raw is also disks: the base of a',
    ],
    [
      'two disks, one device',
      { disks: [disk('a'), disk('b', { device: 'dev-a' })] },
      'disks: two disks have the device dev-a',
    ],
    [
      'token = journal',
      {
        http: { listen: '127.0.0.1:0', tokenFile: '/var/g/web.journal' },
        secondary: {},
      },
      'secondary.journal: /var/g/web.journal is also http.tokenFile',
    ],
    [
      'http.listen = peer',
      { http: { listen: '127.0.0.1:9470' }, secondary: { peer: '127.0.0.1:9470' } },
      'secondary.peer: 127.0.0.1:9470 is also http.listen',
    ],
    [
      'primary.nbd = primary.peer',
      { primary: primary({ peer: 'unix:/run/x.nbd' }) },
      'primary.peer: /run/x.nbd is also primary.nbd',
    ],
    [
      'primary.migrate = qmp',
      { primary: primary({ migrate: 'unix:/run/q.qmp' }) },
      'primary.migrate: /run/q.qmp is also qmp',
    ],
  ])('%s', (_name, document, message) => {
    expect(withoutPlaces(refusalOf(document))).toBe(`web.yaml:\n  ${message}`);
  });

  test('all conflicts are named at once', () => {
    const secondary = { peer: 'unix:/run/q.qmp', journal: '/images/a.raw' };
    expect(refusalOf({ secondary }).split('\n')).toHaveLength(3);
  });
});

describe('a configuration is accepted in which', () => {
  test('both hosts use the same paths, and the secondary VM has the server of the primary', () => {
    const secondary = { nbd: 'unix:/run/x.nbd', svm: 'unix:/run/x.nbd', peer: 'unix:/run/x.peer' };
    expect(parsed({ primary: primary(), secondary }).secondary?.svm).toBe('/run/x.nbd');
  });

  test('certificate and key are one file, and ports are chosen by the system', () => {
    const tls = { cert: '/etc/g/page.pem', key: '/etc/g/page.pem' };
    const http = { listen: '127.0.0.1:0', tokenFile: '/run/g/t', tls };
    expect(parsed({ http, secondary: {} }).http?.tls).toEqual(tls);
  });

  test('disks without a base are told apart by their names', () => {
    const disks = [disk('a', { base: undefined }), disk('b', { base: undefined })];
    expect(parsed({ disks, primary: primary() }).disks).toHaveLength(2);
  });
});

describe('the name of a disk', () => {
  test.each(['0', '_x', 'a'.repeat(25), 'a#b'])('%s is refused: QEMU could not use it', (name) => {
    expect(refusalOf({ disks: [disk(name)] })).toContain('disks.0.name: ');
  });

  test.each(['a', 'disk0', 'A.b-c_d', 'a'.repeat(24)])('%s is accepted', (name) => {
    expect(parsed({ disks: [disk(name)] }).disks[0]?.name).toBe(name);
  });
});
