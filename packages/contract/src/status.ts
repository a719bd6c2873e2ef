/**
 * The status of a daemon, as `gannet status --json`, the control socket and the web page have it.
 * Fields may be added under the same number; one that is removed, or changes its meaning, raises
 * it.
 */
import { z } from 'zod';
import type { OneOf } from './one-of.js';
import { checkpointSchema, commitSchema, peerStatusSchema } from './peer.js';
import { seedsViewSchema } from './reports.js';
import {
  isDown,
  PRIMARY_STATES,
  PROTECT_STAGES,
  PULSES,
  replicaLinkOf,
  SECONDARY_STATES,
  VM_STATES,
} from './states.js';
import { termRecordSchema } from './term.js';

export const STATUS_SCHEMA = 1;

const vmState = z.enum(VM_STATES);
const bytes = z.number().nonnegative();

const head = {
  schema: z.literal(STATUS_SCHEMA),
  vm: z.string(),
  host: z.string().describe('name of the host of this daemon'),
  heartbeatMs: z.number(),
  record: termRecordSchema.describe('what is in the term file of this side'),
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
  stage: z.enum([...PROTECT_STAGES, '']).describe('of `protect`, while it runs; else empty'),
  seed: seedsViewSchema.optional().describe('the copy that is under way; disks by their device'),
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
  state: z.enum(SECONDARY_STATES),
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

/**
 * Degraded: protection was dropped, only one side believes it is protected, or the base image
 * rejects writes. `gannet status` exits with 3.
 *
 * @param status may lack keys: those of a daemon of another version
 */
export function isDegraded(
  status: OneOf<Partial<PrimaryStatus> | Partial<SecondaryStatus>>,
): boolean {
  const { state } = status;
  if (state === 'diverged' || state === 'alone') return true;
  if (state === 'superseded' || state === 'held' || state === 'unknown') return true;
  if (status.role === 'secondary') {
    const { baseTrouble = null, link = 'connected', secondaryVm } = status;
    if (baseTrouble !== null) return true;
    return state === 'protected' && (replicaLinkOf(link) !== 'whole' || isDown(secondaryVm));
  }
  if (state !== 'protected') return false;
  const { primaryVm, peer } = status;
  return primaryVm !== 'ready' || peer?.pulse === 'lost' || peer?.status?.state !== 'protected';
}
