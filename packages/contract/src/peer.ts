import { ON_FULL } from '@gannet/replicator';
import { z } from 'zod';
import type { OneOf } from './one-of.js';
import {
  CHECKPOINT_CAUSES,
  ENGINES,
  NO_STATES,
  PRIMARY_STATES,
  REPLICA_LINKS,
  SECONDARY_STATES,
  VM_STATES,
} from './states.js';
import { termRecordSchema } from './term.js';

/**
 * The link between the two daemons of a VM: WebSocket frames of JSON, the same from both ends.
 *
 *     hello    first, from each end: protocol, VM, role
 *     beat     after the hello, every `heartbeatMs`, and when something changes: how this end is
 *     ask      for what this side looks like (`gannet check`), or about its replica;
 *              `answer` carries its number back
 *
 * A silent link proves nothing about the VMs: it may be cut while both run. A daemon that is heard
 * speaks for the QEMU beside it. Nothing is sent that could be lost: a beat says what is, `record`
 * only what is on stable storage, and the other side's beat shows what it has made of it.
 */
export const PEER_PROTOCOL = 2;
export const PEER_MESSAGE_BYTES_MAX = 1024 * 1024;

/** What a secondary reports of a commit. */
export const commitSchema = z.object({
  epoch: z.number().int().nonnegative(),
  committedPages: z.number().describe('pages of 4 KiB that the epoch changed'),
  droppedPages: z.number().describe("pages of 4 KiB of the secondary's that were discarded"),
  gateClosedMs: z.number().describe('how long requests of both VMs waited'),
  checkpointMs: z.number().nullable().describe("from the secondary's STOP; null at the first"),
});
export type CommitRecord = Readonly<z.output<typeof commitSchema>>;

/** What a primary reports of a checkpoint. */
export const checkpointSchema = z.object({
  ...commitSchema.omit({ checkpointMs: true }).shape,
  cause: z.enum(CHECKPOINT_CAUSES).describe('`output`: the guests sent different packets'),
  pausedMs: z.number().nullable().describe('of the guest; null if STOP or RESUME was not seen'),
});
export type CheckpointRecord = Readonly<z.output<typeof checkpointSchema>>;

/** Of a peer; nothing that it sends fills this side's log or memory. */
const shortText = z.string().transform((text) => text.slice(0, 256));
const longText = z.string().transform((text) => text.slice(0, 4096));

/** A newer daemon may have states that this one does not know: they are read as `unknown`. */
const primaryState = z.enum([...PRIMARY_STATES, 'none']).catch('unknown');
const secondaryState = z.enum([...SECONDARY_STATES, ...NO_STATES]).catch('unknown');

/** What a daemon says of itself, to be shown only. */
export const aboutSchema = z.object({
  version: shortText.describe('of Gannet'),
  qemu: shortText.optional().describe('version of its QEMU; missing until it is connected'),
  page: z
    .string()
    .regex(/^https?:\/\//)
    .max(256)
    .optional()
    .catch(undefined)
    .describe('address of its web page, if other hosts can reach it'),
  failover: z
    .enum(['manual', 'automatic'])
    .optional()
    .catch(undefined)
    .describe('whether it takes over by itself; of a secondary only'),
  hasFence: z.boolean(),
  fence: shortText.optional().catch(undefined).describe('program of its fence command'),
  engine: z
    .enum(ENGINES)
    .optional()
    .catch(undefined)
    .describe('what makes checkpoints; missing in a daemon that knows `colo` only'),
});
export type About = Readonly<z.output<typeof aboutSchema>>;

const common = {
  about: aboutSchema.optional().catch(undefined),
  host: shortText.optional(),
  epoch: z.number().int().nonnegative(),
  /** What this daemon knows of its own QEMU. */
  vm: z.enum(VM_STATES),
  /** What is in its term file. */
  record: termRecordSchema,
  /** Id of the operation that it has under way, for the log of the other side. */
  operation: shortText.optional(),
  /** Why its QEMU is unusable; of a secondary, or else what is wrong with a base. */
  trouble: longText.optional(),
};

const basisSchema = z.object({ replica: shortText, epoch: z.number().int().positive() });
export type BasisRecord = Readonly<z.output<typeof basisSchema>>;

const primaryPeerSchema = z.object({
  role: z.literal('primary'),
  state: primaryState,
  ...common,
  /** Why its guest is stopped, if its own disk has failed and nobody takes over. */
  standstill: longText.optional(),
  /** Its guest is known to stand still, since the secondary has claimed the VM. */
  isStill: z.boolean().optional(),
  /** The last checkpoint, and the first copy while it runs: to be shown, never acted upon. */
  checkpoint: checkpointSchema.optional(),
  seed: z
    .object({
      doneBytes: z.number(),
      totalBytes: z.number(),
      bytesPerSec: z.number(),
      secondsLeft: z.number().nullable(),
    })
    .optional(),
  /** The longest time between two checkpoints. */
  periodMs: z.number().optional(),
});

const secondaryPeerSchema = z.object({
  role: z.literal('secondary'),
  state: secondaryState,
  ...common,
  /** Whether all of the primary's writes arrive. */
  link: z.enum(REPLICA_LINKS),
  /** Identifies its replica; a daemon that is restarted has another. To be shown only. */
  replica: shortText.optional(),
  /**
   * What its bases can be brought up to date from: they hold all writes up to this epoch of this
   * replica, on stable storage. While it seeds, the replica is an earlier one.
   */
  basis: basisSchema.optional().catch(undefined),
  /** Its buffers are over their soft limit, and a checkpoint would empty them. */
  memoryPressure: z.boolean().optional(),
  /** Its daemon is about to end: the primary has to go on without it. */
  isLeaving: z.boolean().optional(),
  /** The last commit, and the memory: to be shown, never acted upon. */
  commit: commitSchema.optional(),
  mayFailOver: z.boolean().optional(),
  /** Of the last commit, which a takeover would go back to. */
  commitAgeMs: z.number().optional(),
  buffers: z
    .object({
      primary: z.number(),
      secondary: z.number(),
      committed: z.number(),
      softBytes: z.number(),
      hardBytes: z.number(),
      onFull: z.enum(ON_FULL).optional().catch(undefined),
      /** In a file. */
      spilled: z.number().optional(),
    })
    .optional(),
});

const eitherPeerSchema = z.discriminatedUnion('role', [primaryPeerSchema, secondaryPeerSchema]);
/** What a heartbeat says of the end that sends it. Keys of the other role are undefined. */
export type PeerStatus = Readonly<OneOf<z.output<typeof eitherPeerSchema>>>;
export const peerStatusSchema: z.ZodType<PeerStatus> = eitherPeerSchema;

/** The most ranges that are watched at a time. */
export const WATCHED_RANGES_MAX = 1024;
/** The longest range that is digested or repaired with one question. */
export const AUDIT_BYTES_MAX = 16 * 1024 * 1024;
const REPAIR_BYTES_MAX = 512 * 1024;
const DIGESTS_MAX = 8192;
const GRAIN_BYTES_MIN = 512;

const place = { disk: z.string(), offset: z.number().int().nonnegative() };
const length = z.number().int().positive();

/**
 * What a primary's daemon asks of the replica, mostly to compare it with its own disks. Only digests
 * cross the link, and what is repaired.
 */
export const auditQuestionSchema = z.discriminatedUnion('kind', [
  /** Which epoch of which replica was committed last, now. */
  z.object({ kind: z.literal('epoch') }),
  /** Note what the primary writes to these ranges from now on, and to no others. */
  z.object({
    kind: z.literal('watch'),
    ranges: z
      .array(z.object({ ...place, length: length.max(AUDIT_BYTES_MAX) }))
      .max(WATCHED_RANGES_MAX),
  }),
  /** A digest of each grain of a range, and what has arrived in it since `watch`. */
  z
    .object({
      kind: z.literal('digests'),
      ...place,
      length: length.max(AUDIT_BYTES_MAX),
      grainBytes: z.number().int().min(GRAIN_BYTES_MIN),
    })
    .refine(({ length: bytes, grainBytes }) => bytes / grainBytes <= DIGESTS_MAX),
  /** Write this, but for what has arrived since `watch`. */
  z.object({
    kind: z.literal('repair'),
    ...place,
    data: z.base64().max(Math.ceil((REPAIR_BYTES_MAX * 4) / 3) + 4),
  }),
]);
export type AuditQuestion = Readonly<z.output<typeof auditQuestionSchema>>;

/** A daemon that does not know the question answers with something else. */
export const auditAnswerSchema = z.object({
  kind: z.literal('audit'),
  /** The last epoch that was committed when this was said. */
  epoch: z.number().int().nonnegative(),
  /** Whose epoch that is. */
  replica: shortText.optional(),
  digests: z.array(z.string().max(64)).max(DIGESTS_MAX).default([]),
  arrived: z
    .array(z.tuple([z.number().int(), z.number().int()]))
    .default([])
    .describe('runs [start, end) of bytes'),
  writtenBytes: z.number().default(0),
});
export type AuditAnswer = Readonly<z.output<typeof auditAnswerSchema>>;

export const peerMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.number().int(),
    /** Said by a stranger: one that is longer than any name is not answered. */
    vm: z.string().max(64),
    role: z.enum(['primary', 'secondary']),
  }),
  z.object({ type: z.literal('beat'), status: peerStatusSchema }),
  z.object({
    type: z.literal('ask'),
    number: z.number().int(),
    /** Missing for the report of `gannet check`, which a question of a newer daemon gets too. */
    question: auditQuestionSchema.optional().catch(undefined),
  }),
  z.object({
    type: z.literal('answer'),
    number: z.number().int(),
    value: z.unknown(),
    error: longText.optional(),
  }),
]);
export type PeerMessage = Readonly<z.output<typeof peerMessageSchema>>;
