import { ON_FULL } from '@gannet/replicator';
import { z } from 'zod';
import { address, migrateUri } from './address.js';
import { key, looks, section } from './key-metadata.js';
import { absolutePath, bytes } from './values.js';

const memorySchema = z
  .strictObject({
    soft: bytes.optional().meta(
      key('when the buffers exceed this, a checkpoint is requested', '512 MiB', {
        unit: 'bytes',
        fallback: '512 MiB',
      }),
    ),
    hard: bytes
      .optional()
      .meta(
        key(
          'when the buffers exceed this, protection ends: first the primary is dropped and ' +
            'continues unprotected; if that does not free enough, the replica is given up too. ' +
            'If the primary is lost already, the guest is stopped instead',
          '1 GiB',
          { unit: 'bytes', fallback: '1 GiB' },
        ),
      ),
    onFull: z
      .enum(ON_FULL)
      .default('slow')
      .meta(
        key(
          'what happens between `soft` and `hard`. `slow`: from half way on, writes are answered ' +
            'more and more slowly. `spill`: from a quarter on, pages move to a file, and writes ' +
            'are slowed if that is not enough. `release`: neither',
          'spill',
        ),
      ),
    spillDirectory: absolutePath
      .optional()
      .meta(
        key(
          'for `spill`: folder of that file, which has no name in it and mode 0600',
          '/var/lib/gannet',
          { fallback: 'folder of the journal' },
        ),
      ),
    spillLimit: bytes.optional().meta(
      key('for `spill`: largest size of that file', '8 GiB', {
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

const snapshotSchema = z.strictObject({
  directory: absolutePath
    .optional()
    .meta(
      key(
        'folder of the file that keeps what is overwritten, which has no name in it',
        '/var/lib/gannet',
        { fallback: 'folder of the journal' },
      ),
    ),
  limit: bytes.optional().meta(
    key('largest size of that; a snapshot that would need more is given up', '8 GiB', {
      unit: 'bytes',
      fallback: '8 GiB',
    }),
  ),
});

/** Section `secondary`: what the daemon on the secondary host reads. */
export const secondarySchema = z.strictObject({
  nbd: address.optional().meta(
    key('where the NBD server listens for the primary', 'unix:/run/gannet/web.nbd', {
      fallback: '`unix:/run/gannet/VM.nbd`',
    }),
  ),
  svm: address
    .refine(({ type }) => type === 'unix', {
      error: 'the secondary VM runs on this host: write unix:/path/of.sock',
    })
    .optional()
    .meta({
      ...looks('`unix:PATH`'),
      ...key('where the NBD server listens for the secondary VM', 'unix:/run/gannet/web.nbd', {
        fallback: '`secondary.nbd` if that is a unix socket, else `unix:/run/gannet/VM.nbd`',
      }),
    }),
  peer: address
    .optional()
    .meta(
      key(
        'where the peer link listens for the primary daemon; unused with `source: external`',
        'unix:/run/gannet/web.peer',
        { fallback: '`unix:/run/gannet/VM.peer`' },
      ),
    ),
  migrate: migrateUri.optional().meta(
    key(
      "where this host's QEMU is told to wait for the guest's memory, if it was started with " +
        '`-incoming defer`; needed for TLS. With `engine: vsmr`: where this daemon waits for it',
      'tls:0.0.0.0:10811',
      {
        fallback:
          'QEMU waits where its own `-incoming` says; with `engine: vsmr`, ' +
          '`unix:/run/gannet/VM.migrate`',
        see: 'how-to/tls.md',
      },
    ),
  ),
  failover: z
    .enum(['manual', 'automatic'])
    .default('manual')
    .meta(
      key(
        '`automatic`: take over without an operator when the primary reports that its guest has ' +
          'stopped, or when the `fence` has succeeded; needs a `fence` on both hosts',
        'manual',
        { reloads: true, see: 'explanation/failover.md' },
      ),
    ),
  source: z
    .enum(['colo', 'external'])
    .default('colo')
    .meta(
      key(
        'who makes checkpoints: the `engine` (`colo`, whichever it is), or a program that calls ' +
          '`seal`, `commit` and `abort` on the control socket (`external`)',
        'colo',
      ),
    ),
  journal: absolutePath.optional().meta(
    key(
      'file of the failover journal, on storage that survives a crash',
      '/var/lib/gannet/web.journal',
      {
        fallback: '`/var/lib/gannet/VM.journal`',
      },
    ),
  ),
  overwrite: z
    .boolean()
    .default(false)
    .meta(key('allow `protect` to overwrite a base that holds data', false)),
  pollUs: z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(100)
    .meta(
      key(
        'how long the daemon polls for the next request after an answer before it sleeps; this ' +
          'costs processor time, so set 0 on hosts that have none to spare',
        100,
        { unit: 'µs' },
      ),
    ),
  snapshot: snapshotSchema
    .optional()
    .meta(section('snapshots for backups', { see: 'how-to/copies/backup.md' })),
  memory: memorySchema
    .optional()
    .meta(section('memory limits of the buffers', { see: 'how-to/memory.md' })),
});
