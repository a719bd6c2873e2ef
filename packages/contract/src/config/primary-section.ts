import { z } from 'zod';
import { address, migrateUri } from './address.js';
import { key, section } from './key-metadata.js';
import { bytes } from './values.js';

/** Section `primary`: what the daemon on the primary host reads. */
export const primarySchema = z.strictObject({
  link: z
    .enum(['replication', 'nbd', 'mirror'])
    .optional()
    .meta(
      key(
        "how QEMU sends the guest's writes: through its replication filter, through a plain NBD " +
          'child of the quorum, or with a mirror job, which needs no quorum',
        'replication',
        {
          fallback: '`replication`; with `engine: vsmr`, which cannot use that filter, `nbd`',
          see: 'how-to/vm-by-hand.md',
        },
      ),
    ),
  nbd: address.meta(
    key(
      "address of the secondary's NBD server (`secondary.nbd`) as the primary host reaches it",
      'unix:/run/gannet/web.nbd',
    ),
  ),
  migrate: migrateUri.meta(
    key(
      "where the secondary waits for the guest's memory, as the primary host reaches it: its " +
        'QEMU (`-incoming`, or `secondary.migrate`); with `engine: vsmr` its daemon, at ' +
        '`secondary.migrate`',
      'unix:/run/gannet/web.mig',
    ),
  ),
  peer: address.meta(
    key(
      "the secondary daemon's peer link (`secondary.peer`) as the primary host reaches it",
      'unix:/run/gannet/web.peer',
    ),
  ),
  onSecondaryLost: z
    .enum(['run-on', 'wait'])
    .default('run-on')
    .meta(
      key(
        '`run-on`: the guest continues unprotected; `wait`: it is paused until an operator decides',
        'run-on',
        {
          reloads: true,
          see: 'explanation/failover.md',
        },
      ),
    ),
  onGuestCrash: z
    .enum(['fail-over', 'end'])
    .default('fail-over')
    .meta(
      key(
        'when the guest panics (pvpanic) or its watchdog runs out. `fail-over`: it is stopped, ' +
          'and the secondary, whose guest still runs, is to take over; `end`: protection ends, ' +
          'and QEMU does what its `-action` says',
        'fail-over',
        { reloads: true, see: 'how-to/guest-events.md' },
      ),
    ),
  seedBytesPerSec: bytes.optional().meta(
    key('speed limit of the first copy, per disk', '100 MiB', {
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
      key('how long to wait for a link that broke during the first copy to come back', 60_000, {
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
  verify: z
    .strictObject({
      everyHours: z
        .number()
        .positive()
        .max(8760)
        .meta(key('time from the end of one comparison to the next, while protected', 168)),
      bytesPerSec: bytes.optional().meta(
        key('speed limit on each side, for all disks together', '50 MiB', {
          unit: 'bytes a second',
          fallback: 'no limit',
        }),
      ),
    })
    .optional()
    .meta(
      section("compares the replica with the primary's disks regularly", {
        see: 'how-to/copies/verify.md',
      }),
    ),
  stageTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(60_000)
    .meta(
      key('deadline of each stage of `protect`, except for seeding and migration', 60_000, {
        unit: 'ms',
      }),
    ),
  seedTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(24 * 3_600_000)
    .meta(
      key('deadline of the seeding stage and of the migration stage', 86_400_000, {
        unit: 'ms',
      }),
    ),
});
