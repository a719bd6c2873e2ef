import { z } from 'zod';

/**
 * The link between the two daemons of a VM: WebSocket frames of JSON, the same from both ends.
 *
 *     hello    first, from each end: protocol, VM, role
 *     beat     every `heartbeatMs`: how this end is
 *     tell     a notice that has to be acknowledged; `told` carries its number back
 *     ask      for what this side looks like (`gannet check`); `answer` carries its number back
 *
 * A link says nothing about the VMs by its silence: it may be cut while both live. What it says while it is up is the
 * word of a daemon that stands beside its QEMU.
 */
export const PEER_PROTOCOL = 1;
export const PEER_MESSAGE_BYTES_MAX = 1024 * 1024;

/** What a secondary says of a commit. */
export const commitSchema = z.object({
  epoch: z.number().int().nonnegative(),
  committedPages: z.number(),
  droppedPages: z.number(),
  gateClosedMs: z.number(),
  /** From the secondary's STOP to the commit; null where COLO has just started. */
  checkpointMs: z.number().nullable(),
});
export type CommitRecord = Readonly<z.output<typeof commitSchema>>;

/** What a primary says of a checkpoint. */
export const checkpointSchema = z.object({
  ...commitSchema.omit({ checkpointMs: true }).shape,
  /** `output`: the guests' packets differed, or only one of them had sent some. */
  cause: z.enum(['period', 'demand', 'memory', 'output']),
  /** How long the primary's guest stood still; null where its STOP or RESUME was not seen. */
  pausedMs: z.number().nullable(),
});
export type CheckpointRecord = Readonly<z.output<typeof checkpointSchema>>;

/** What the other side may want to show. Nothing is decided by it. */
const reportShape = {
  host: z.string().optional(),
  /** Secondary: the last commit, and its memory. */
  commit: commitSchema.optional(),
  mayFailOver: z.boolean().optional(),
  buffers: z
    .object({
      primary: z.number(),
      secondary: z.number(),
      committed: z.number(),
      softBytes: z.number(),
      hardBytes: z.number(),
      onFull: z.string().optional(),
      /** In a file. */
      spilled: z.number().optional(),
    })
    .optional(),
  /** Primary: the last checkpoint, and the copy that is under way. */
  checkpoint: checkpointSchema.optional(),
  seed: z
    .object({
      doneBytes: z.number(),
      totalBytes: z.number(),
      bytesPerSec: z.number(),
      secondsLeft: z.number().nullable(),
    })
    .optional(),
};

export const peerStatusSchema = z.object({
  ...reportShape,
  role: z.enum(['primary', 'secondary']),
  state: z.string(),
  epoch: z.number().int().nonnegative(),
  /** What this daemon knows of its own QEMU: `hung` means that it does not answer, `lost` that it has ended. */
  vm: z.enum(['awaited', 'ready', 'unusable', 'hung', 'lost']),
  /** Secondary: why its QEMU is unusable, or else what is the matter with a base. */
  trouble: z.string().optional(),
  /** Secondary: uuid of its replica; a daemon that is started anew has another. */
  replica: z.string().optional(),
  /** Secondary: whether all of the primary's writes arrive. */
  link: z.enum(['none', 'whole', 'lost']),
  /** Primary: the longest time between two checkpoints. */
  periodMs: z.number().optional(),
  /** Secondary: its buffers are over their soft limit, and a checkpoint would empty them. */
  memoryPressure: z.boolean().optional(),
});
export type PeerStatus = Readonly<z.output<typeof peerStatusSchema>>;

/** What one end may have to tell the other. */
const noticeSchema = z.enum([
  /** The primary runs on without this replica: it must never take over again. */
  'outdated',
  /** The secondary is about to end: the primary has to run on without it. */
  'leaving',
  /** The secondary's buffers pass their soft limit: a checkpoint would empty them. */
  'memory-pressure',
]);
export type PeerNotice = z.output<typeof noticeSchema>;

export const peerMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.number().int(),
    vm: z.string(),
    role: z.enum(['primary', 'secondary']),
  }),
  z.object({ type: z.literal('beat'), status: peerStatusSchema }),
  z.object({
    type: z.literal('tell'),
    number: z.number().int(),
    notice: noticeSchema,
    /** Whom it is about; told too late, it may reach another. */
    replica: z.string().optional(),
  }),
  /** Not only received: done. `isDone` is false if it is about another replica, or could not be done. */
  z.object({ type: z.literal('told'), number: z.number().int(), isDone: z.boolean().optional() }),
  z.object({ type: z.literal('ask'), number: z.number().int() }),
  z.object({
    type: z.literal('answer'),
    number: z.number().int(),
    value: z.unknown(),
    error: z.string().optional(),
  }),
]);
export type PeerMessage = Readonly<z.output<typeof peerMessageSchema>>;
