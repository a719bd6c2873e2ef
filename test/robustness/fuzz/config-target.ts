import { GannetError, parseConfig } from '@gannet/contract';
import type { Random } from '@gannet/test-support/random.js';
import { expectKnown, Finding, type Target } from './target.js';

const TEXTS = [
  `vm: web
qmp: unix:/run/web.qmp
disks:
  - { name: a, device: vb0, base: /var/a.raw, size: 4GiB }
secondary: {}
`,
  `vm: web
control: /run/web.sock
qmp: 127.0.0.1:4444
disks: [{ name: a, device: vb0 }, { name: b, device: vb1, format: qcow2 }]
peer: { heartbeatMs: 100, lowMs: 400, highMs: 900 }
fence: { command: [/bin/true], timeoutMs: 5 }
primary:
  link: nbd
  nbd: unix:/run/web.nbd
  migrate: tcp:[::1]:4445
  peer: localhost:4446
  onSecondaryLost: wait
  seedBytesPerSec: 10 MiB
  checkpointPeriodMs: 50
`,
  `vm: web
qmp: unix:/q
disks: [{ name: a, device: vb0, base: /dev/vg/a }]
secondary:
  { nbd: "127.0.0.1:10809", failover: automatic, source: external, journal: /j, \
overwrite: true, memory: { soft: 1, hard: 2KiB } }
`,
];
const WORDS = [
  ...[
    'vm',
    'control',
    'qmp',
    'disks',
    'name',
    'device',
    'base',
    'format',
    'size',
    'peer',
    'fence',
    'command',
  ],
  ...[
    'primary',
    'secondary',
    'nbd',
    'memory',
    'soft',
    'hard',
    'journal',
    '__proto__',
    'constructor',
    '<<',
  ],
  ...[
    ': ',
    '- ',
    '\n',
    '\n  ',
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a',
    '!!',
    '| ',
    '> ',
    '? ',
    '---\n',
    '%YAML 1.1\n',
  ],
  ...[
    '!!binary ',
    '!!set ',
    '!!timestamp ',
    '~',
    '.inf',
    '.nan',
    '0x10',
    '1e400',
    '-1',
    'null',
    '"',
    "'",
    '#',
  ],
  ...['unix:', 'tcp:', '127.0.0.1:1', 'GiB', '99999999TiB', '/'],
].map((word) => Buffer.from(word));

/** A configuration file: it can be used, or the error is GANNET_CONFIG with a remedy. */
export const config: Target = {
  name: 'config',
  bytesMax: 3000,
  words: WORDS,
  make: (random: Random) => Buffer.from(random.pick(TEXTS)),
  run: (input) => {
    const places = { configDir: '/etc/gannet', runDir: '/run/gannet', stateDir: '/var/lib/gannet' };
    try {
      const { vm, disks, control } = parseConfig(
        input.toString('utf8'),
        '/etc/gannet/web.yaml',
        places,
      );
      if (!/^[\w.-]{1,64}$/.test(vm) || disks.length === 0)
        throw new Finding(`took ${vm} and no disks`);
      if (Buffer.byteLength(control) > 107) throw new Finding('a socket path that does not fit');
    } catch (error) {
      if (error instanceof Finding) throw error;
      expectKnown(error, GannetError);
      const { code, remedy, message } = error as GannetError;
      if (code !== 'GANNET_CONFIG' || remedy === '' || message === '')
        throw new Finding(`refused with ${code}`);
    }
  },
};
