/**
 * What `gannet status --json`, the control socket and the web page say of a daemon. Fields may be added under the same
 * number; one that goes, or means something else, raises it.
 */
import { z } from 'zod';
import { commitSchema, checkpointSchema, peerStatusSchema } from './peer.js';

export const STATUS_SCHEMA = 1;

const vmState = z.enum(['awaited', 'ready', 'unusable', 'hung', 'lost']);
const bytes = z.number().nonnegative();

const head = {
  schema: z.literal(STATUS_SCHEMA),
  vm: z.string(),
  host: z.string().describe('name of the host of this daemon'),
  heartbeatMs: z.number(),
};

/** Connections that were turned away. */
const strangers = z.object({
  turnedAway: z.number().int(),
  last: z.looseObject({}).optional(),
});

/** Of cards in `network`: where this side's guest's packets go. */
const network = z
  .array(
    z.object({
      netdev: z.string(),
      state: z
        .enum(['direct', 'compared', 'walled', 'open', 'unknown'])
        .describe(
          'primary: `direct` to its network, or `compared` with the secondary; secondary: `walled` off, or `open`',
        ),
    }),
  )
  .optional()
  .describe('missing where no card is in the configuration');

/** The other daemon: how the link is, what it said last, and how long ago. */
const peer = z.object({
  pulse: z.enum(['none', 'unknown', 'up', 'late', 'lost']),
  silentMs: z.number().optional(),
  status: peerStatusSchema.optional(),
});

const seedShape = {
  doneBytes: bytes,
  totalBytes: bytes,
  bytesPerSec: z.number(),
  secondsLeft: z.number().nullable(),
  limitBytesPerSec: z.number(),
  down: z.object({ forMs: z.number(), limitMs: z.number() }).nullable(),
};

export const primaryStatusSchema = z.object({
  ...head,
  role: z.literal('primary'),
  state: z
    .enum(['unknown', 'unprotected', 'protecting', 'protected', 'alone', 'superseded'])
    .describe(
      '`unknown`: QEMU is there and cannot be asked; `superseded`: the secondary has taken over',
    ),
  stage: z.string().describe('of `protect`, while it is under way'),
  seed: z
    .object({ ...seedShape, disks: z.record(z.string(), z.object(seedShape)) })
    .optional()
    .describe('the copy that is under way; disks by their device'),
  primaryVm: vmState,
  primaryVmTrouble: z.string().nullable(),
  link: z.enum(['replication', 'nbd', 'mirror']),
  checkpointPeriodMs: z.number(),
  network,
  epoch: z.number().int(),
  lastCheckpoint: checkpointSchema.nullable(),
  strangers: strangers.optional(),
  peer,
});
export type PrimaryStatus = z.output<typeof primaryStatusSchema>;

export const secondaryStatusSchema = z.object({
  ...head,
  role: z.literal('secondary'),
  state: z.enum(['seeding', 'protected', 'failed-over', 'retired', 'diverged']),
  reason: z.string(),
  mayFailOver: z.boolean(),
  epoch: z.number().int(),
  secondaryVm: vmState,
  secondaryVmTrouble: z.string().nullable(),
  needs: z.string().optional().describe('what an operator has to do before it protects again'),
  link: z.string().describe('`connected`, `none`, or why writes of the primary may be missing'),
  coloExit: z.string().nullable(),
  baseTrouble: z.string().nullable(),
  checkpoints: z.number().int(),
  lastCheckpoint: commitSchema.nullable(),
  buffers: z.object({
    primary: bytes,
    secondary: bytes,
    committed: bytes,
    softBytes: bytes,
    hardBytes: bytes,
    slowedWrites: z.number().int(),
    onFull: z.enum(['slow', 'spill', 'release']).optional(),
    spillBytes: bytes.optional(),
    spilled: bytes.optional().describe('in the spill file'),
    spillTrouble: z.string().nullable().optional(),
  }),
  disks: z.array(
    z.object({
      name: z.string(),
      sizeBytes: bytes,
      epochsToWriteBack: z.number().int(),
      backlogBytes: bytes.describe('committed and not yet in the base'),
      requests: z.number().int().describe('NBD requests so far, of both VMs'),
    }),
  ),
  exports: z.array(z.string()),
  network,
  strangers: strangers.optional(),
  peer,
  uuid: z.string(),
});
export type SecondaryStatus = z.output<typeof secondaryStatusSchema>;

export type NetworkView = NonNullable<z.output<typeof network>>;

export const statusSchema = z.discriminatedUnion('role', [
  primaryStatusSchema,
  secondaryStatusSchema,
]);
export type Status = z.output<typeof statusSchema>;

/** A line of `gannet events --json`. Each kind has details of its own. */
export const eventSchema = z.looseObject({
  at: z.iso.datetime(),
  role: z.enum(['primary', 'secondary']),
  kind: z.string(),
});
