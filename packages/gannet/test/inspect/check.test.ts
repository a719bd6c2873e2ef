import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { check, judgePair, printSecondary } from '../../src/inspect/check.js';
import { exitCodeOf, formatFindings, runCheck } from '../../src/cli/check-report.js';
import {
  type HostFacts,
  primaryHostFacts,
  secondaryHostFacts,
} from '../../src/inspect/host-facts.js';
import {
  baseFindings,
  HOST_FINDING_CODES,
  hostFinding,
  type HostFindingCode,
  memoryFindings,
  reachFindings,
  timingFindings,
} from '../../src/inspect/host-findings.js';
import type { SideReport } from '../../src/inspect/side-report.js';
import { askPeer } from '../../src/daemon/peer/ask-peer.js';
import { asPrimary, asSecondary, parseConfig } from '@gannet/contract';

const FENCE = { evidence: 'fence', delayMs: 0 } as const;
const GIB = 2 ** 30;

function facts(over: Partial<HostFacts> = {}): HostFacts {
  return {
    memory: { totalBytes: 8 * GIB, availableBytes: 4 * GIB },
    bufferBytes: GIB,
    bases: [],
    overwrite: false,
    unreachable: [],
    folders: [],
    ...over,
  };
}

const BASE = {
  name: 'root',
  path: '/b',
  sizeBytes: 512,
  exists: true,
  allocatedBytes: 0,
  freeBytes: 1000,
  format: 'raw',
};
const RECORD = { vm: 'web', disk: 'root', state: 'protected' };

const CONFIG = parseConfig(
  JSON.stringify({
    vm: 'web',
    control: '/run/p.ctl',
    qmp: 'unix:/run/p.qmp',
    disks: [{ name: 'root', device: 'vb0' }],
    primary: { nbd: 'unix:/run/r.nbd', migrate: 'unix:/run/in', peer: 'unix:/run/s.peer' },
  }),
  'test',
);

function side(role: SideReport['role'], over: Partial<SideReport> = {}): SideReport {
  return {
    role,
    vm: 'web',
    isServing: true,
    state: 'seeding',
    hostname: role,
    host: facts(),
    disks: [{ name: 'root', device: 'vb0', export: 'svm' }],
    qmp: { type: 'unix', path: '/run/x.qmp' },
    ...over,
  };
}

const seen = new Set<HostFindingCode>();
function codes(findings: readonly { severity: string; code: string }[]): string[] {
  for (const { code } of findings) seen.add(code as HostFindingCode);
  return findings.map(({ severity, code }) => `${severity} ${code}`);
}

describe('bases', () => {
  it.each([
    ['a fresh one', {}, []],
    ['one that is to be created', { exists: false }, []],
    ['none', { exists: false, sizeBytes: undefined }, ['error base-missing']],
    ['one of a former protection', { record: RECORD, allocatedBytes: 50 }, []],
    [
      'one that was failed over to',
      { record: { ...RECORD, state: 'retired' } },
      ['error base-holds-data'],
    ],
    [
      'one with a journal',
      { record: { ...RECORD, state: 'failed-over' } },
      ['error base-holds-data'],
    ],
    ['data of unknown worth', { allocatedBytes: 50 }, ['error base-holds-data']],
    ["another VM's", { record: { ...RECORD, vm: 'db' } }, ['error base-foreign']],
    ["another disk's", { record: { ...RECORD, disk: 'data' } }, ['error base-foreign']],
    ['one in use', { found: { format: 'raw', isInUse: true } }, ['error base-in-use']],
    ['another format', { found: { format: 'qcow2', isInUse: false } }, ['error base-format']],
    [
      'an empty qcow2',
      { format: 'qcow2', found: { format: 'qcow2', isInUse: false }, allocatedBytes: 200 },
      [],
    ],
    ['an unreadable state file', { trouble: 'no' }, ['error base-unreadable']],
    ['too little space', { freeBytes: 99 }, ['warning base-space']],
    ['just enough space', { freeBytes: 452, allocatedBytes: 60, record: RECORD }, []],
    ['no whole number of sectors', { sizeBytes: 700 }, ['error base-size']],
  ] as const)('%s', (_what, over, expected) => {
    const { sizeBytes, ...base } = { ...BASE, ...over };
    const bases = [sizeBytes === undefined ? base : { ...base, sizeBytes }];
    expect(codes(baseFindings(facts({ bases }), 'web', false))).toEqual(expected);
  });

  it('are the daemon’s own where it runs, and may be overwritten where that is said', () => {
    const bases = [{ ...BASE, allocatedBytes: 50 }];
    expect(baseFindings(facts({ bases }), 'web', true)).toEqual([]);
    expect(baseFindings(facts({ bases, overwrite: true }), 'web', false)).toEqual([]);
  });
});

describe('the host', () => {
  it.each([
    [1.5 * GIB, []],
    [1.6 * GIB, ['warning memory-short']],
    [3.6 * GIB, ['error memory-short']],
  ])('memory for a guest of %d bytes', (sizeBytes, expected) => {
    const guest = { memory: { sizeBytes } } as never;
    expect(codes(memoryFindings(facts(), guest))).toEqual(expected);
  });

  it('addresses and folders', () => {
    const unreachable = [{ key: 'primary.nbd', address: 'unix:/x', why: 'ENOENT' }];
    const folders = [{ key: 'control', path: '/y', why: 'EACCES' }];
    const findings = reachFindings(facts({ unreachable, folders }), 'primary');
    expect(codes(findings)).toEqual(['error address-unreachable', 'error folder-missing']);
    expect(findings.map(({ device }) => device)).toEqual(['primary.nbd', 'control']);
  });
});

describe('times', () => {
  const findings = (more: object): string[] => {
    const config = parseConfig(
      JSON.stringify({
        vm: 'web',
        qmp: 'unix:/run/p.qmp',
        disks: [{ name: 'root', device: 'vb0', base: '/b' }],
        peer: { heartbeatMs: 500, lowMs: 2000, highMs: 10_000 },
        ...more,
      }),
      'test',
    );
    return timingFindings(config).map(({ severity, code, message }) => {
      seen.add(code);
      return `${severity} ${code}: ${message.replace(/,.*/s, '')}`;
    });
  };
  const command = ['/bin/fence'];

  it('a fence must be done before the other side begins with its own', () => {
    expect(findings({})).toEqual([]);
    expect(findings({ fence: { command, timeoutMs: 10_000 } })).toEqual([]);
    expect(findings({ fence: { command } })).toEqual([
      'warning fence-slow: the fence may run for 30000 ms',
    ]);
  });

  it('an automatic failover waits for a whole period', () => {
    const addresses = { nbd: 'unix:/n', migrate: 'unix:/m', peer: 'unix:/p' };
    const pair = (checkpointPeriodMs: number, failover: string): object => ({
      fence: { command, timeoutMs: 5000 },
      primary: { ...addresses, checkpointPeriodMs },
      secondary: { failover },
    });
    expect(findings(pair(20_000, 'automatic'))).toEqual([]);
    expect(findings(pair(3_600_000, 'manual'))).toEqual([]);
    expect(findings(pair(3_600_000, 'automatic'))).toEqual([
      expect.stringContaining(
        'warning failover-late: an automatic failover may begin only 3620000 ms',
      ),
    ]);
  });

  it('are looked at by `gannet check`, on either host', async () => {
    const fence = { ...FENCE, command, timeoutMs: 30_000 };
    const config = { ...CONFIG, fence };
    const { findings: found } = await check(config, askPeer);
    expect(found.map(({ code }) => code)).toContain('fence-slow');
  });
});

describe('both sides', () => {
  it('fence each other when another VM runs the other way round', () => {
    const fence = { ...FENCE, command: ['/f'], timeoutMs: 3000 };
    const config = { ...CONFIG, fence };
    const other = { vm: 'db', fencesAfterMs: 5000 };
    const primary = side('primary', {
      ...{ fencesAfterMs: 5000, others: [{ ...other, role: 'secondary' }] },
    });
    const secondary = side('secondary', { others: [{ ...other, role: 'primary' }] });
    expect(codes(judgePair(config, primary, secondary))).toContain('warning fence-crosswise');
  });

  it('routes that delay acknowledgements, of a protected VM too', () => {
    const found = { key: 'primary.migrate', address: '192.0.2.2', hasQuickAck: false };
    const routes = [
      { ...found, route: '192.0.2.2 dev eth0 src 192.0.2.1' },
      { ...found, route: 'x', hasQuickAck: true },
    ];
    const primary = side('primary', { host: facts({ routes }) });
    const secondary = side('secondary', { state: 'protected', host: facts({ routes }) });
    const findings = judgePair(CONFIG, primary, secondary);
    expect(codes(findings)).toEqual(['warning route-delays-acks', 'warning route-delays-acks']);
    for (const [index, whose] of ['primary', 'secondary'].entries()) {
      expect(findings[index]?.remedy).toContain(
        `Run on the ${whose} host, as root: ` +
          '`ip route replace 192.0.2.2 dev eth0 src 192.0.2.1 quickack 1`.',
      );
    }
  });

  it('names, hosts, and QEMUs that cannot be asked', () => {
    const secondary = side('secondary', {
      vm: 'db',
      engine: 'vsmr',
      hostname: 'primary',
      disks: [{ name: 'data', device: 'vb0', export: 'svm' }],
    });
    const primary = side('primary', { trouble: 'refused' });
    expect(codes(judgePair(CONFIG, primary, secondary)).sort()).toEqual([
      'error disks-differ',
      'error disks-differ',
      'error engine-differs',
      'error qmp-unreachable',
      'error vm-differs',
      'info same-host',
    ]);
  });
});

describe('facts, from this host', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-facts-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const config = (over: object) =>
    parseConfig(
      JSON.stringify({
        vm: 'web',
        control: path.join(dir, 'no', 'c.ctl'),
        qmp: `unix:${dir}/q.qmp`,
        disks: [{ name: 'root', device: 'vb0', base: path.join(dir, 'base'), size: 4096 }],
        ...over,
      }),
      'test',
    );

  it('a primary finds nobody, then somebody', async () => {
    const server = createServer((socket) => {
      const hello = Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1');
      socket.on('error', () => undefined).resume();
      socket.end(hello, () => socket.destroySoon());
    });
    const primary = { peer: 'unix:/run/s.peer', nbd: `unix:${dir}/n`, migrate: `tcp:127.0.0.1:1` };
    const before = await primaryHostFacts(asPrimary(config({ primary })));
    expect(before.unreachable.map(({ key }) => key)).toEqual(['primary.nbd', 'primary.migrate']);
    expect(before.folders.map(({ key }) => key)).toEqual(['control']);
    expect(before.shim).toBeUndefined();
    await new Promise<void>((resolve) => server.listen(path.join(dir, 'n'), resolve));
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    let visitors = 0;
    other.on('connection', () => (visitors += 1));
    const reachable = { ...primary, migrate: `tcp:127.0.0.1:${port}` };
    const after = await primaryHostFacts(asPrimary(config({ primary: reachable })));
    expect(after.unreachable).toEqual([]);
    // Whoever connects to -incoming and leaves again ends that QEMU.
    expect(visitors).toBe(0);
    for (const one of [server, other]) await new Promise((resolve) => one.close(resolve));
  });

  it('a secondary and its base', async () => {
    const settings = asSecondary(config({ secondary: { nbd: `unix:${dir}/n` } }));
    const before = await secondaryHostFacts(settings, false);
    expect(before.bases).toMatchObject([{ exists: false, sizeBytes: 4096 }]);
    expect(before.memory.availableBytes).toBeGreaterThan(0);
    await writeFile(path.join(dir, 'base'), Buffer.alloc(8192, 1));
    await writeFile(path.join(dir, 'base.gannet'), 'not JSON');
    const { bases, bufferBytes } = await secondaryHostFacts(settings, false);
    expect(bases).toMatchObject([{ exists: true, sizeBytes: 8192 }]);
    expect(bases[0]?.trouble).toContain('base.gannet');
    expect(bufferBytes).toBe(GIB);
  });

  it('is said by the command when nobody is there', async () => {
    const file = path.join(dir, 'c.yaml');
    const settings = {
      vm: 'web',
      control: `${dir}/c.ctl`,
      qmp: `unix:${dir}/q.qmp`,
      disks: [{ name: 'root', device: 'vb0' }],
      primary: { peer: `unix:${dir}/peer`, nbd: `unix:${dir}/n`, migrate: `unix:${dir}/i` },
    };
    await writeFile(file, JSON.stringify(settings));
    let text = '';
    const out = { write: (more: string) => (text += more) };
    expect(await runCheck({ config: file, json: true }, askPeer, out)).toBe(1);
    const { findings } = JSON.parse(text) as { findings: { severity: string; code: string }[] };
    expect(codes(findings).sort()).toEqual([
      'error address-unreachable',
      'error address-unreachable',
      'error qmp-unreachable',
      'warning peer-unreachable',
    ]);
    const print = () => printSecondary(CONFIG, { findings: [] }, {});
    expect(print).toThrow(expect.objectContaining({ code: 'GANNET_NOT_READY' }));
  });
});

describe('what is printed', () => {
  const error = hostFinding('error', 'base-missing', 'there is no base', 'Create it.', 'root');
  const info = hostFinding('info', 'same-host', 'both on h', 'Fine.');
  const warning = hostFinding('warning', 'base-space', 'little room', 'Make room.');

  it('is grouped: what, why, what to do', () => {
    const text = formatFindings({ findings: [info, error, warning], primary: side('primary') });
    expect(text).toBe(
      `Errors
  base-missing (root): there is no base
      why: The replica writes committed data to its base image.
      do:  Create it.

Warnings
  base-space: little room
      why: A sparse base grows. When the file system is full, write-back stops and memory fills.
      do:  Make room.

Notes
  same-host: both on h
      why: If this host fails, both VMs fail.
      do:  Fine.

primary web: 1 error, 1 warning
`,
    );
  });

  it.each([40, 80])('fits %d columns, and is complete', (columns) => {
    const result = { findings: [info, error, warning], primary: side('primary') };
    const lines = formatFindings(result, columns).split('\n');
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    const letters = (text: string): string => text.replace(/\s/g, '');
    expect(letters(lines.join(''))).toBe(letters(formatFindings(result)));
  });

  it('ends with a code', () => {
    expect(exitCodeOf([])).toBe(0);
    expect(exitCodeOf([info])).toBe(0);
    expect(exitCodeOf([info, warning])).toBe(3);
    expect(exitCodeOf([warning, error, info])).toBe(1);
  });
});

it('every code was seen', () => {
  expect(HOST_FINDING_CODES.filter((code) => !seen.has(code))).toEqual([]);
});
