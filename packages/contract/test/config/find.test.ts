import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { findConfig, findDaemon, plainPlaceOf } from '../../src/config/find.js';
import { ConfigText } from '../../src/config/findings.js';
import type { Places } from '../../src/config/paths.js';

let dir: string;
let places: Places;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-find-'));
  places = { configDir: dir, stateDir: path.join(dir, 'state'), runDir: path.join(dir, 'run') };
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function configure(...vms: string[]): Promise<void> {
  for (const vm of vms) {
    const disks = `disks: [{ name: root, device: vb0, base: ${dir}/${vm}.raw }]`;
    await writeFile(path.join(dir, `${vm}.yaml`), `vm: ${vm}\nqmp: unix:/run/qmp\n${disks}\n`);
  }
}

test('a VM is found by its name', async () => {
  await configure('web');
  expect(await findConfig({ vm: 'web' }, places)).toMatchObject({ vm: 'web' });
});

test('a VM that is not there: which there are, and which was probably meant', async () => {
  await configure('web', 'db');
  await expect(findConfig({ vm: 'wbe' }, places)).rejects.toMatchObject({
    code: 'GANNET_USAGE',
    exit: 'usage',
    message: `no VM wbe is configured on this host: there is no file ${dir}/wbe.yaml`,
    remedy:
      'Did you mean web? VMs of this host: db, web. A file elsewhere is passed with --config.',
  });
});

test('a name that is like none is only answered with those there are', async () => {
  await configure('web', 'db');
  await expect(findConfig({ vm: 'production' }, places)).rejects.toMatchObject({
    remedy: 'VMs of this host: db, web. A file elsewhere is passed with --config.',
  });
});

test('a host without a VM says so', async () => {
  await expect(findConfig({ vm: 'web' }, places)).rejects.toMatchObject({
    remedy: expect.stringMatching(/^No VM is configured on this host\./),
  });
});

test('a command without a name is told which there are', async () => {
  await configure('web', 'db');
  await expect(findConfig({}, places)).rejects.toMatchObject({
    code: 'GANNET_USAGE',
    remedy: expect.stringContaining('(db, web)'),
  });
});

test('the daemon of a VM: as the whole configuration has it', async () => {
  await configure('web');
  const { vm, control } = await findConfig({ vm: 'web' }, places);
  expect(await findDaemon({ vm: 'web' }, places)).toEqual({ vm, control });
  await writeFile(path.join(dir, 'db.yaml'), 'vm: db # old\ncontrol: /run/db.sock\n');
  expect(await findDaemon({ vm: 'db' }, places)).toEqual({ vm: 'db', control: '/run/db.sock' });
});

test('an edit that went wrong does not prevent a failover', async () => {
  await writeFile(path.join(dir, 'web.yaml'), 'vm: web\nsecondary: { jurnal: /tmp/web.journal }\n');
  await expect(findConfig({ vm: 'web' }, places)).rejects.toMatchObject({ code: 'GANNET_CONFIG' });
  const control = path.join(dir, 'run', 'web.sock');
  expect(await findDaemon({ vm: 'web' }, places)).toEqual({ vm: 'web', control });
});

test('the file of another VM, and one that others may write, are still refused', async () => {
  await writeFile(path.join(dir, 'db.yaml'), 'vm: web\n');
  await expect(findDaemon({ vm: 'db' }, places)).rejects.toMatchObject({ code: 'GANNET_CONFIG' });
  await configure('web');
  await chmod(path.join(dir, 'web.yaml'), 0o666);
  await expect(findDaemon({ vm: 'web' }, places)).rejects.toMatchObject({
    message: expect.stringContaining('every user of this host may write it'),
  });
});

/** Lines that belong together in ways that only a parser knows. */
const LINES = [
  ...[
    'vm: web',
    'vm: "web"',
    'vm: true',
    'vm: 12',
    'vm: web # a',
    'vm: web, x: 1',
    'vm:',
    ' vm: db',
  ],
  ...['control: /run/x', 'control: /run/y#z', "control: '/run/q'", 'control: *a', '  control: /b'],
  ...['text: |', 'text: >-', 'text: "', " more'", ' more"', 'list: [', ' ]', 'flow: {', ' }', ']'],
  ...['a: &a /run/z', '- vm: c', '---', '...', '%YAML 1.2', '# vm: d', '', '? vm', ': e', '{'],
  ...['<<: *a', '"vm": f', 'vm : g', 'x: y', '\tvm: h', '!!map'],
];

test('what is read without a parser is what a parser reads', () => {
  const config = fc.record(
    {
      vm: fc.oneof(fc.constantFrom('web', 'true', 'null', '0x1', 'x y'), fc.string()),
      control: fc.oneof(fc.constantFrom('/run/x.sock', '/a b', '~'), fc.string()),
      disks: fc.array(fc.dictionary(fc.string(), fc.string()), { maxLength: 2 }),
      text: fc.string({ unit: fc.constantFrom('vm: a', 'control: /b', '\n', ' ', '"', '#') }),
    },
    { requiredKeys: ['vm'] },
  );
  const texts = fc.oneof(
    config.map((document) => stringify(document)),
    fc.array(fc.constantFrom(...LINES), { maxLength: 8 }).map((lines) => lines.join('\n')),
  );
  let plain = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const place = plainPlaceOf(text, places);
      if (!place) return;
      let document: { vm?: unknown; control?: unknown };
      try {
        document = new ConfigText('web.yaml', text).document as typeof document;
      } catch {
        return;
      }
      plain++;
      const { vm, control = path.join(places.runDir, `${place.vm}.sock`) } = document;
      expect({ vm, control }).toEqual(place);
    }),
    { numRuns: 3000 },
  );
  expect(plain).toBeGreaterThan(50);
});
