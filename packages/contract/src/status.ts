/**
 * The status of a daemon, as `gannet status --json`, the control socket and the web page have it.
 * Fields may be added under the same number; one that is removed, or changes its meaning, raises
 * it.
 */
import { z } from 'zod';
import { aboutSchema, checkpointSchema, commitSchema, peerStatusSchema } from './peer.js';
import {
  GUEST_PLACES,
  VERDICT_LEVELS,
  type VerdictCode,
  VERDICTS,
} from './verdict/verdict-table.js';
import {
  automaticSchema,
  failoverProgressSchema,
  seedsViewSchema,
  snapshotViewSchema,
  verifyProgressSchema,
  verifyReportSchema,
} from './reports.js';
import {
  COPY_KINDS,
  PRIMARY_STATES,
  PROTECT_STAGES,
  PULSES,
  REPLICA_LINKS,
  SECONDARY_STATES,
  VM_STATES,
} from './states.js';
import { termRecordSchema } from './term.js';

export const STATUS_SCHEMA = 2;

const LINK_KINDS = ['replication', 'nbd', 'mirror'] as const;
const vmState = z.enum(VM_STATES);
const bytes = z.number().nonnegative();

/** The one verdict on the VM, from what both sides are known to be. */
const health = z.object({
  code: z.enum(Object.keys(VERDICTS) as [VerdictCode, ...VerdictCode[]]),
  level: z.enum(VERDICT_LEVELS).describe('`good` is the only one that is well'),
  headline: z.string(),
  remedy: z.string().describe('what to do, and on which host; empty if there is nothing to do'),
  guest: z.enum(GUEST_PLACES).describe('where the guest runs, as far as this daemon knows'),
  since: z.iso.datetime().describe('when this verdict began'),
});

const head = {
  health,
  schema: z.literal(STATUS_SCHEMA),
  vm: z.string(),
  host: z.string().describe('name of the host of this daemon'),
  heartbeatMs: z.number(),
  about: aboutSchema.optional().describe('this daemon: versions, and how it is set up'),
  record: termRecordSchema.describe('what is in the term file of this side'),
  automatic: automaticSchema
    .optional()
    .describe('with `protection: automatic`, of the side that runs the VM'),
  termTrouble: z
    .string()
    .nullable()
    .optional()
    .describe('why the term file cannot be written: what this side decides now may be forgotten'),
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
          'primary: `direct` to its network, or `compared` with the secondary; ' +
            'secondary: `walled` off, or `open`',
        ),
    }),
  )
  .optional()
  .describe('missing where no card is in the configuration');

/** The other daemon: how the link is, what it said last, and how long ago. */
const peer = z.object({
  pulse: z.enum(PULSES),
  silentMs: z.number().optional(),
  status: peerStatusSchema.optional(),
});

export const primaryStatusSchema = z.object({
  ...head,
  role: z.literal('primary'),
  state: z.enum(PRIMARY_STATES),
  reason: z.string().optional().describe('why it is `yielding` or has `ended`'),
  standstill: z
    .string()
    .optional()
    .describe('why the guest is stopped, if its own disk has failed and nobody takes over'),
  stage: z.enum([...PROTECT_STAGES, '']).describe('of `protect`, while it runs; else empty'),
  seed: seedsViewSchema.optional().describe('the copy that is under way; disks by their device'),
  primaryVm: vmState,
  primaryVmTrouble: z.string().nullable(),
  linkKind: z.enum(LINK_KINDS),
  link: z.enum(LINK_KINDS).describe('deprecated: `linkKind`'),
  checkpointPeriodMs: z.number(),
  network,
  epoch: z.number().int(),
  lastCheckpoint: checkpointSchema.nullable(),
  lastCopy: z
    .object({ how: z.enum(COPY_KINDS), reason: z.string(), copiedBytes: z.number().optional() })
    .optional()
    .describe('how the disks were copied last; `changes`: only what the base lacked, and how much'),
  verifying: verifyProgressSchema.optional().describe('of a `verify` that is under way'),
  lastVerify: verifyReportSchema
    .omit({ places: true })
    .extend({ at: z.iso.datetime().describe('when it ended') })
    .optional()
    .describe('of this daemon; missing before the first'),
  strangers: strangers.optional(),
  peer,
});
export type PrimaryStatus = z.output<typeof primaryStatusSchema>;

export const secondaryStatusSchema = z.object({
  ...head,
  role: z.literal('secondary'),
  state: z.enum(SECONDARY_STATES),
  reason: z.string(),
  mayFailOver: z.boolean(),
  commitAgeMs: z
    .number()
    .optional()
    .describe('age of the last commit, which a takeover would go back to; missing without one'),
  fenceFailure: z
    .string()
    .optional()
    .describe('why its last fence of the primary failed; missing once the primary is heard again'),
  epoch: z.number().int(),
  secondaryVm: vmState,
  secondaryVmTrouble: z.string().nullable(),
  needs: z.string().optional().describe('what an operator has to do before it protects again'),
  linkState: z.enum(REPLICA_LINKS).describe('whether all of the primary’s writes arrive'),
  linkLoss: z.string().nullable().describe('why writes may be missing, if they may'),
  link: z.string().describe('deprecated: `connected`, `none`, or `linkLoss`'),
  coloExit: z.string().nullable(),
  baseTrouble: z.string().nullable(),
  failover: failoverProgressSchema.optional().describe('of a failover that is under way'),
  isDurable: z
    .boolean()
    .optional()
    .describe('it has taken over, and a crash of this host loses nothing that was flushed'),
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
  waiting: z
    .object({
      since: z.string().describe('when the primary’s link was lost'),
      guest: z
        .enum(['runs', 'stopped'])
        .describe('`stopped`: memory is full; a failover continues it'),
      isLastCommitKept: z
        .boolean()
        .describe('the bases hold the last commit: it outlives the daemon and the secondary VM'),
      softSeconds: z.number().nonnegative().nullable(),
      hardSeconds: z
        .number()
        .nonnegative()
        .nullable()
        .describe('until the guest is stopped, at the present rate; null: never at this rate'),
    })
    .nullable()
    .optional()
    .describe('a copy that has lost its primary and waits for a failover; else null'),
  disks: z.array(
    z.object({
      name: z.string(),
      sizeBytes: bytes,
      epochsToWriteBack: z.number().int(),
      backlogBytes: bytes.describe('committed and not yet in the base'),
      requests: z.number().int().describe('NBD requests so far, of both VMs'),
      receivedBytes: bytes
        .optional()
        .describe("from the primary's QEMU so far: writes and the first copy, with their headers"),
    }),
  ),
  exports: z.array(z.string()),
  snapshot: snapshotViewSchema
    .nullable()
    .optional()
    .describe('the one that there is, for a backup; else null'),
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
