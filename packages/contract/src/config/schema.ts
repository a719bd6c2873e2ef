import { IMAGE_FORMATS, ON_FULL } from '@gannet/replicator';
import { z } from 'zod';
import { address, type InetAddress, migrateUri, socketPath } from './address.js';
import { parseBytes } from './bytes.js';
import { key, looks, section } from './key-metadata.js';
import { networkCard } from './network-card.js';
import { addressIssues, tlsSchema } from './tls.js';

const bytes = z
  .unknown()
  .transform((value, context) => {
    const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
    const size = parseBytes(text);
    if (size !== undefined) return size;
    context.addIssue('write bytes, or a whole number above 0 with KiB, MiB, GiB or TiB');
    return z.NEVER;
  })
  .meta(looks('size'));

const absolutePath = z.string().startsWith('/').meta(looks('absolute path'));

const vmName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-" only')
  .meta(looks('1 to 64 letters, digits, `_`, `.`, `-`'));

const disk = z.strictObject({
  name: vmName.meta(
    key('the same on both sides; names the exports of a VM with several disks', 'disk0'),
  ),
  device: z.string().min(1).meta(key('id of the device in QEMU that uses the disk', 'vb0')),
  base: absolutePath
    .optional()
    .meta(
      key(
        'image file or block device on which the replica is kept; a secondary needs it',
        '/var/lib/gannet/web-disk0.raw',
        { host: 'secondary' },
      ),
    ),
  format: z
    .enum(IMAGE_FORMATS)
    .default('raw')
    .meta(
      key('of the base; all but `raw` are read and written by a qemu-storage-daemon', 'raw', {
        host: 'secondary',
        see: 'how-to/qcow2.md',
      }),
    ),
  size: bytes
    .optional()
    .meta(
      key(
        "creates the base, sparse and in its format, if it is not there; has to equal the primary's disk",
        '20 GiB',
        { host: 'secondary', unit: 'bytes', fallback: "the base's own; it has to be there" },
      ),
    ),
});

/** Of the link between the daemons. */
const peerSchema = z
  .strictObject({
    heartbeatMs: z
      .number()
      .int()
      .min(10)
      .max(60_000)
      .default(500)
      .meta(key('time between signs of life of the daemons', 500, { unit: 'ms' })),
    lowMs: z
      .number()
      .int()
      .min(20)
      .max(600_000)
      .default(2000)
      .meta(key('silence that is warned of; two heartbeats have to fit in', 2000, { unit: 'ms' })),
    highMs: z
      .number()
      .int()
      .min(40)
      .max(3_600_000)
      .default(5000)
      .meta(
        key(
          'silence that is acted upon, by a secondary after twice as long; longer than `lowMs`',
          5000,
          { unit: 'ms', see: 'explanation/failover.md' },
        ),
      ),
  })
  .refine(({ heartbeatMs, lowMs, highMs }) => 2 * heartbeatMs <= lowMs && lowMs < highMs, {
    error: 'two heartbeats must fit into lowMs, and lowMs must be below highMs',
  });

const fenceSchema = z.strictObject({
  command: z
    .array(z.string().min(1))
    .min(1)
    .meta(
      key(
        'program and arguments, no shell; exits with 0 when the other host is certain not to run the VM. ' +
          "It is told GANNET_VM and GANNET_FENCE (the other's role)",
        ['/usr/local/sbin/fence', 'host-b'],
        { reloads: true },
      ),
    ),
  timeoutMs: z
    .number()
    .int()
    .positive()
    .default(30_000)
    .meta(key('it is killed, and has failed, after this', 30_000, { unit: 'ms', reloads: true })),
});

const httpSchema = z.strictObject({
  listen: z
    .string()
    .transform((text, context): InetAddress => {
      const [, host = '', port = ''] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
      if (host !== '' && Number(port) <= 65535) return { type: 'inet', host, port: Number(port) };
      context.addIssue('write HOST:PORT; port 0 stands for any that is free');
      return z.NEVER;
    })
    .meta({
      ...looks('`HOST:PORT`; port 0 for any that is free'),
      ...key('where the page and the metrics are served', '127.0.0.1:9470'),
    }),
  tokenFile: absolutePath
    .optional()
    .meta(
      key(
        'the token that lets a browser in; mode 0600, or 0640 for a group; made where it is missing',
        '/run/gannet/web.token',
        { fallback: '`/run/gannet/VM.token`; none beyond loopback: name it there' },
      ),
    ),
  tls: z
    .strictObject({
      cert: absolutePath.meta(key('PEM file of the certificate', '/etc/gannet/page-cert.pem')),
      key: absolutePath.meta(key('PEM file of its key', '/etc/gannet/page-key.pem')),
    })
    .optional()
    .meta(section('serves HTTPS; beyond loopback it has to be there')),
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a name without a port'))
    .default([])
    .meta(
      key(
        'names by which browsers reach it, besides `localhost`, addresses and the name of this host',
        ['gannet.example.org'],
      ),
    ),
});

const primarySchema = z.strictObject({
  link: z
    .enum(['replication', 'nbd', 'mirror'])
    .default('replication')
    .meta(
      key(
        "how QEMU sends the disk's writes: its replication filter, a plain NBD child of the quorum, or a mirror job, " +
          'which needs no quorum',
        'replication',
        { see: 'how-to/vm-by-hand.md' },
      ),
    ),
  nbd: address.meta(key("the secondary's replicator, seen from here", 'unix:/run/gannet/web.nbd')),
  migrate: migrateUri.meta(
    key("where the secondary's QEMU waits (-incoming), seen from here", 'unix:/run/gannet/web.mig'),
  ),
  peer: address.meta(
    key("the secondary daemon's peer link, seen from here", 'unix:/run/gannet/web.peer'),
  ),
  onSecondaryLost: z
    .enum(['run-on', 'wait'])
    .default('run-on')
    .meta(
      key('the guest runs on alone, or stands still until an operator has decided', 'run-on', {
        reloads: true,
        see: 'explanation/failover.md',
      }),
    ),
  seedBytesPerSec: bytes.optional().meta(
    key('speed limit of the first copy, for each disk', '100 MiB', {
      unit: 'bytes a second',
      fallback: 'no limit',
      reloads: true,
    }),
  ),
  seedLinkTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(60_000)
    .meta(
      key('how long a link that broke while the disks are copied is waited for', 60_000, {
        unit: 'ms',
      }),
    ),
  checkpointPeriodMs: z
    .number()
    .int()
    .min(10)
    .max(3_600_000)
    .default(2000)
    .meta(
      key('time between checkpoints', 2000, { unit: 'ms', reloads: true, see: 'how-to/period.md' }),
    ),
  stageTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(60_000)
    .meta(
      key('deadline of each stage of `protect` but seeding and migration', 60_000, { unit: 'ms' }),
    ),
  seedTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(24 * 3_600_000)
    .meta(
      key('deadline of seeding, and of the migration; the default is a day', 86_400_000, {
        unit: 'ms',
      }),
    ),
});

const memorySchema = z
  .strictObject({
    soft: bytes.optional().meta(
      key('a checkpoint is asked for beyond this', '512 MiB', {
        unit: 'bytes',
        fallback: '512 MiB',
      }),
    ),
    hard: bytes
      .optional()
      .meta(
        key(
          'protection is given up beyond this, in order: the primary runs on, the secondary may still take over with the ' +
            'last checkpoint',
          '1 GiB',
          { unit: 'bytes', fallback: '1 GiB' },
        ),
      ),
    onFull: z
      .enum(ON_FULL)
      .default('slow')
      .meta(
        key(
          'between the two: `slow`, from half way on writes are answered ever more slowly; `spill`, from a quarter on ' +
            'pages are moved to a file, and writes slowed as above where that does not keep up; `release`, neither',
          'spill',
        ),
      ),
    spillDirectory: absolutePath
      .optional()
      .meta(
        key(
          'for `spill`: where that file is made, without a name and readable by nobody else',
          '/var/lib/gannet',
          { fallback: "the journal's" },
        ),
      ),
    spillLimit: bytes.optional().meta(
      key('for `spill`: how large that file may become', '8 GiB', {
        unit: 'bytes',
        fallback: '8 GiB',
      }),
    ),
  })
  .refine(({ soft, hard }) => (soft ?? 0) <= (hard ?? Infinity), {
    error: 'soft must not exceed hard',
  })
  .refine(
    ({ onFull, spillDirectory, spillLimit }) =>
      onFull === 'spill' || (spillDirectory ?? spillLimit) === undefined,
    { error: 'spillDirectory and spillLimit are for `onFull: spill`' },
  );

const secondarySchema = z.strictObject({
  nbd: address.optional().meta(
    key('where the replicator listens for the primary', 'unix:/run/gannet/web.nbd', {
      fallback: '`unix:/run/gannet/VM.nbd`',
    }),
  ),
  svm: address
    .refine(({ type }) => type === 'unix', {
      error: 'the secondary VM is on this host: write unix:/path/of.sock',
    })
    .optional()
    .meta({
      ...looks('`unix:PATH`'),
      ...key('where the secondary VM finds its disks', 'unix:/run/gannet/web.nbd', {
        fallback: '`secondary.nbd` where that is a unix socket, else `unix:/run/gannet/VM.nbd`',
      }),
    }),
  peer: address
    .optional()
    .meta(
      key(
        'where the link to the primary daemon listens; not used where checkpoints are external',
        'unix:/run/gannet/web.peer',
        { fallback: '`unix:/run/gannet/VM.peer`' },
      ),
    ),
  failover: z
    .enum(['manual', 'automatic'])
    .default('manual')
    .meta(
      key('on command, or also by itself behind a `fence`', 'manual', {
        reloads: true,
        see: 'explanation/failover.md',
      }),
    ),
  source: z
    .enum(['colo', 'external'])
    .default('colo')
    .meta(
      key(
        'who makes checkpoints: QEMU, or a program that says `seal`, `commit` and `abort` on the control socket',
        'colo',
      ),
    ),
  journal: absolutePath.optional().meta(
    key('the failover journal, on a disk that outlives a crash', '/var/lib/gannet/web.journal', {
      fallback: '`/var/lib/gannet/VM.journal`',
    }),
  ),
  overwrite: z.boolean().default(false).meta(key('seed over a base that holds data', false)),
  pollUs: z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(100)
    .meta(
      key(
        'how long after an answer the daemon polls for the next request before it sleeps, while requests come that ' +
          'fast; 0 for never, where processors are short',
        100,
        { unit: 'µs' },
      ),
    ),
  memory: memorySchema
    .optional()
    .meta(section('what the buffers may take', { see: 'how-to/memory.md' })),
});

export const fileSchema = z.strictObject({
  vm: vmName.meta(key('name of the VM; the file is called after it', 'web')),
  control: socketPath.optional().meta(
    key("the daemon's control socket, made with mode 0600", '/run/gannet/web.sock', {
      fallback: '`/run/gannet/VM.sock`',
    }),
  ),
  qmp: address.meta(
    key(
      "a QMP socket of this host's QEMU that nobody else uses; a secondary's is on its own host",
      'unix:/run/qemu/web-gannet.qmp',
    ),
  ),
  dangerouslyAllowPlaintextBeyondLoopback: z
    .boolean()
    .default(false)
    .meta(
      key(
        'lets plain `HOST:PORT` of other hosts through, which is refused otherwise: anybody on the way may read and ' +
          "change the VM's disks and memory",
        false,
        { see: 'explanation/security.md' },
      ),
    ),
  disks: z.array(disk).min(1).meta(section('the disks that are protected, all of them together')),
  peer: peerSchema
    .default({ heartbeatMs: 500, lowMs: 2000, highMs: 5000 })
    .meta(section('the link between the daemons')),
  network: z
    .array(networkCard)
    .default([])
    .meta(
      section('network cards whose connections outlive a failover', { see: 'how-to/network.md' }),
    ),
  http: httpSchema
    .optional()
    .meta(
      section('web page and metrics; nobody listens without it', { see: 'reference/metrics.md' }),
    ),
  tls: tlsSchema
    .optional()
    .meta(section('credentials of every `tls:HOST:PORT`', { see: 'how-to/tls.md' })),
  fence: fenceSchema.optional().meta(
    section('makes sure that the other host no longer runs the VM', {
      reloads: true,
      see: 'explanation/failover.md',
    }),
  ),
  primary: primarySchema
    .optional()
    .meta(section('what the daemon beside the primary VM does; a survivor reads it too')),
  secondary: secondarySchema
    .optional()
    .meta(section('what the daemon beside the secondary VM does; `{}` will do')),
});

/** What a file has to be, one key with another. */
export const configSchema = fileSchema.superRefine((config, context) => {
  for (const { path, message } of addressIssues(config)) {
    context.addIssue({ code: 'custom', path, message });
  }
});

export type ConfigFile = z.output<typeof configSchema>;
