import { IMAGE_FORMATS, type ImageFormat } from '@gannet/replicator';
import { z } from 'zod';
import { address, type InetAddress, socketPath } from './address.js';
import { key, looks, section } from './key-metadata.js';
import { networkCard } from './network-card.js';
import { primarySchema } from './primary-section.js';
import { secondarySchema } from './secondary-section.js';
import { type Engine, ENGINES, PROTECTION_MODES } from '../states.js';
import { addressIssues, tlsSchema } from './tls.js';
import { absolutePath, bytes, diskName, vmName } from './values.js';

/** Formats whose disks QEMU migrates: a survivor on any other could never be protected again. */
const BASE_FORMATS = ['raw', 'qcow2', 'qed'] as const satisfies readonly ImageFormat[];

function formatIssue({ input }: { input?: unknown }): string {
  const known = BASE_FORMATS.join(', ');
  if (!IMAGE_FORMATS.some((format) => format === input)) return `use one of ${known}`;
  return (
    `QEMU does not migrate a VM with a disk of the format ${String(input)}, so the survivor ` +
    `could not be protected again; use one of ${known}`
  );
}

const disk = z.strictObject({
  name: diskName.meta(key('name of the disk, the same in both configurations', 'disk0')),
  device: z
    .string()
    .min(1)
    .meta(key('id of the QEMU device (-device ...,id=) that uses the disk', 'vb0')),
  base: absolutePath
    .optional()
    .meta(
      key(
        'image file or block device that holds the replica; required on the secondary',
        '/var/lib/gannet/web-disk0.raw',
        { host: 'secondary' },
      ),
    ),
  format: z
    .enum(BASE_FORMATS, { error: formatIssue })
    .default('raw')
    .meta(
      key('image format of the base; all but `raw` need qemu-storage-daemon', 'raw', {
        host: 'secondary',
        see: 'how-to/qcow2.md',
      }),
    ),
  size: bytes
    .refine((size) => size % 512 === 0, { error: 'write a multiple of 512: whole sectors' })
    .optional()
    .meta(
      key(
        "size of the primary's disk; a base that does not exist is created with it, sparse",
        '20 GiB',
        { host: 'secondary', unit: 'bytes', fallback: 'size of the base, which must exist' },
      ),
    ),
});

/** The link between the two daemons. */
const peerSchema = z
  .strictObject({
    heartbeatMs: z
      .number()
      .int()
      .min(10)
      .max(60_000)
      .default(500)
      .meta(key('time between two heartbeats', 500, { unit: 'ms' })),
    lowMs: z
      .number()
      .int()
      .min(20)
      .max(600_000)
      .default(2000)
      .meta(
        key('silence after which a warning is logged; at least two heartbeats', 2000, {
          unit: 'ms',
        }),
      ),
    highMs: z
      .number()
      .int()
      .min(40)
      .max(3_600_000)
      .default(5000)
      .meta(
        key(
          'silence after which the peer counts as lost: the primary drops it after this time, ' +
            'the secondary may take over after twice this time; must exceed `lowMs`',
          5000,
          { unit: 'ms', see: 'explanation/failover.md' },
        ),
      ),
  })
  .refine(({ heartbeatMs, lowMs, highMs }) => 2 * heartbeatMs <= lowMs && lowMs < highMs, {
    error: 'lowMs must be at least twice heartbeatMs, and less than highMs',
  });

const fenceSchema = z.strictObject({
  command: z
    .array(z.string().min(1))
    .min(1)
    .meta(
      key(
        'program and its arguments, run without a shell. It must exit with 0 only when the other ' +
          'host certainly no longer runs the VM. Its environment has GANNET_VM (the name) and ' +
          'GANNET_FENCE (the role to fence: `primary` or `secondary`)',
        ['/usr/local/sbin/fence', 'host-b'],
        { reloads: true },
      ),
    ),
  timeoutMs: z
    .number()
    .int()
    .positive()
    .default(30_000)
    .meta(
      key(
        'a fence command that runs longer is killed and counts as failed; more than ' +
          '`peer.highMs` and both hosts may be fenced after a cut of the network',
        30_000,
        { unit: 'ms', reloads: true, see: 'explanation/failover.md' },
      ),
    ),
  evidence: z
    .enum(['fence', 'arbiter'])
    .default('fence')
    .meta(
      key(
        'what exit code 0 means. `fence`: the other host no longer runs the VM; `arbiter`: a ' +
          'third party, such as Pacemaker, has granted it to this host and to no other',
        'fence',
        { reloads: true, see: 'how-to/cluster/pacemaker.md' },
      ),
    ),
  delayMs: z
    .number()
    .int()
    .nonnegative()
    .max(3_600_000)
    .default(0)
    .meta(
      key(
        'how long to wait before the fence runs, and to look again. Where each of two hosts is ' +
          'the primary of a VM and the secondary of another, a cut between them makes each fence ' +
          'the other: give one of the hosts a delay longer than the fence of the other takes',
        0,
        { unit: 'ms', reloads: true, see: 'explanation/failover.md' },
      ),
    ),
});

const httpSchema = z.strictObject({
  listen: z
    .string()
    .transform((text, context): InetAddress => {
      const [, host = '', port = ''] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
      if (host !== '' && Number(port) <= 65535) return { type: 'inet', host, port: Number(port) };
      context.addIssue('write HOST:PORT; port 0 picks a free port');
      return z.NEVER;
    })
    .meta({
      ...looks('`HOST:PORT`; port 0 picks a free port'),
      ...key('address of the web page and the metrics', '127.0.0.1:9470'),
    }),
  tokenFile: absolutePath
    .optional()
    .meta(
      key(
        'file with the token that browsers and Prometheus must present; mode 0600, or 0640 for ' +
          'a group; created if it is missing',
        '/run/gannet/web.token',
        { fallback: '`/run/gannet/VM.token`; required if `listen` is not a loopback address' },
      ),
    ),
  tls: z
    .strictObject({
      cert: absolutePath.meta(key('PEM file of the certificate', '/etc/gannet/page-cert.pem')),
      key: absolutePath.meta(key('PEM file of its private key', '/etc/gannet/page-key.pem')),
    })
    .optional()
    .meta(section('serves HTTPS; required if `listen` is not a loopback address')),
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a name without a port'))
    .default([])
    .meta(
      key(
        'host names in the URL of the page, besides `localhost`, IP addresses and the name of ' +
          'this host; requests for other names are refused',
        ['gannet.example.org'],
      ),
    ),
});

export const fileSchema = z.strictObject({
  vm: vmName.meta(key('name of the VM, and of this file without `.yaml`', 'web')),
  control: socketPath
    .optional()
    .meta(
      key(
        "path of the daemon's control socket; mode 0600, or 0660 if root runs the daemon with a " +
          'group of its own, whose members may then use it',
        '/run/gannet/web.sock',
        { fallback: '`/run/gannet/VM.sock`', see: 'how-to/systemd.md' },
      ),
    ),
  termFile: absolutePath.optional().meta(
    key(
      'file in which the daemon remembers whether its copy of the VM may run, on storage that ' +
        'survives a crash; two daemons never share one',
      '/var/lib/gannet/web.term.json',
      {
        fallback:
          '`/var/lib/gannet/VM.term.json`; with `control`, `VM-NAME.term.json`, named ' +
          'like the control socket',
        see: 'reference/term-file.md',
      },
    ),
  ),
  engine: z
    .enum(ENGINES)
    .default('colo')
    .meta(
      key(
        "what makes checkpoints, the same in both configurations. `colo`: QEMU's COLO; `vsmr`: " +
          'Gannet itself, on any QEMU since 6.0 whose memory is in a shared file; a first ' +
          'version, not to be relied on yet',
        'colo',
        { see: 'explanation/vsmr.md' },
      ),
    ),
  protection: z
    .enum(PROTECTION_MODES)
    .default('manual')
    .meta(
      key(
        'on the host that runs the VM. `manual`: it is protected when an operator says so; ' +
          '`automatic`: whenever a secondary is ready for a new copy, also after a failover, ' +
          'until an operator detaches it',
        'manual',
        { reloads: true, see: 'how-to/cluster/automatic.md' },
      ),
    ),
  qmp: address.meta(
    key(
      "QMP socket of this host's QEMU, for Gannet alone: QEMU serves one client at a time",
      'unix:/run/qemu/web-gannet.qmp',
    ),
  ),
  dangerouslyAllowPlaintextBeyondLoopback: z
    .boolean()
    .default(false)
    .meta(
      key(
        'allows plain `HOST:PORT` of other hosts. Anyone on the network path can then read and ' +
          "change the VM's disks and memory",
        false,
        { see: 'explanation/security.md' },
      ),
    ),
  disks: z
    .array(disk)
    .min(1)
    .meta(section('the disks of the VM; checkpoints cover all of them together')),
  peer: peerSchema
    .default({ heartbeatMs: 500, lowMs: 2000, highMs: 5000 })
    .meta(section('the link between the daemons')),
  network: z
    .array(networkCard)
    .default([])
    .meta(
      section('network cards whose connections survive a failover', { see: 'how-to/network.md' }),
    ),
  http: httpSchema.optional().meta(
    section('web page and metrics; without this section there are none', {
      see: 'reference/metrics.md',
    }),
  ),
  tls: tlsSchema
    .optional()
    .meta(section('credentials for all `tls:HOST:PORT` addresses', { see: 'how-to/tls.md' })),
  fence: fenceSchema.optional().meta(
    section('a command that makes sure the other host no longer runs the VM', {
      reloads: true,
      see: 'explanation/failover.md',
    }),
  ),
  primary: primarySchema
    .optional()
    .meta(section('the daemon on the primary host; after a failover, the survivor uses it too')),
  secondary: secondarySchema
    .optional()
    .meta(section('the daemon on the secondary host; `{}` is enough')),
});

type LinkKind = 'replication' | 'nbd' | 'mirror';

interface Engined {
  readonly engine: Engine;
  readonly network: readonly unknown[];
  readonly primary?: { readonly link?: LinkKind | undefined } | undefined;
  readonly secondary?: { readonly source: 'colo' | 'external' } | undefined;
}

/** What `engine: vsmr` cannot do, by the keys that ask for it. */
export function engineIssues(config: Engined): { path: string[]; message: string }[] {
  const { engine, network, primary, secondary } = config;
  if (engine === 'colo') return [];
  const issues: { path: string[]; message: string }[] = [];
  if (network.length > 0) {
    const message =
      '`engine: vsmr` does not compare packets yet; remove this section, or use `engine: colo`';
    issues.push({ path: ['network'], message });
  }
  if (primary?.link === 'replication') {
    const message =
      "QEMU's replication filter works with COLO only; with `engine: vsmr` use nbd or mirror";
    issues.push({ path: ['primary', 'link'], message });
  }
  if (secondary?.source === 'external') {
    const message = '`external` makes checkpoints itself: use it without `engine: vsmr`';
    issues.push({ path: ['secondary', 'source'], message });
  }
  return issues;
}

/** How the primary's QEMU sends writes, where the configuration does not say it. */
export function defaultLink(engine: Engine): LinkKind {
  return engine === 'vsmr' ? 'nbd' : 'replication';
}

/** The schema of a file, including rules that concern several keys. */
export const configSchema = fileSchema.superRefine((config, context) => {
  for (const { path, message } of [...addressIssues(config), ...engineIssues(config)]) {
    context.addIssue({ code: 'custom', path, message });
  }
});

export type ConfigFile = z.output<typeof configSchema>;
