/** What long operations report while they run and when they end. */
import { z } from 'zod';
import {
  ENGINES,
  FAILOVER_EVIDENCE,
  FAILOVER_STAGES,
  MOVE_STAGES,
  PROTECT_STAGES,
  WAIT_REASONS,
} from './states.js';

const count = z.number().nonnegative();

/** One disk's first copy, or all of them. The guest's writes add to `totalBytes`. */
const seedShape = {
  doneBytes: count,
  totalBytes: count,
  rewrittenBytes: count
    .optional()
    .describe('of `totalBytes`: what the guest wrote meanwhile, which is copied again'),
  bytesPerSec: z.number().describe('smoothed; jumps while holes are skipped'),
  secondsLeft: z.number().nullable().describe('null if unknown, and while the link is down'),
  limitBytesPerSec: z.number().describe('0 without a limit'),
  down: z
    .object({ forMs: z.number(), limitMs: z.number() })
    .nullable()
    .describe('how long the link has been down, and how long it may be; null while it is up'),
};
export const seedViewSchema = z.object(seedShape);
export type SeedView = Readonly<z.output<typeof seedViewSchema>>;

/** All disks together, and each by its device. */
export const seedsViewSchema = z.object({
  ...seedShape,
  disks: z.record(z.string(), seedViewSchema),
});
export type SeedsView = Readonly<z.output<typeof seedsViewSchema>>;

const bytesDone = { doneBytes: count, totalBytes: count };

/** `protect` and `reprotect`: each stage as it begins, then bytes of those that can count them. */
export const protectProgressSchema = z.union([
  z.object({
    stage: z.literal('seed'),
    device: z.string(),
    ...seedShape,
    all: seedsViewSchema,
  }),
  z.object({ stage: z.enum(ENGINES), ...bytesDone }).describe("the guest's memory"),
  z.object({ stage: z.enum(PROTECT_STAGES) }),
]);
export type ProtectProgress = Readonly<z.output<typeof protectProgressSchema>>;

/** Of `protection: automatic`, for the side that runs the VM. */
export const automaticSchema = z.object({
  why: z
    .enum(WAIT_REASONS)
    .nullable()
    .describe('why it is not protected yet; null if it is, or is about to be'),
  words: z.string().describe('the same in plain English; empty with null'),
  until: z.iso.datetime().optional().describe('when it is tried again, of a pause'),
  failures: z.number().int().describe('attempts in a row that failed'),
  failure: z.string().optional().describe('why the last of them failed, and what to do'),
});
export type AutomaticView = Readonly<z.output<typeof automaticSchema>>;

/** `failover` on a secondary. */
export const failoverProgressSchema = z.union([
  z.object({ stage: z.literal('write back'), ...bytesDone }),
  z.object({ stage: z.enum(FAILOVER_STAGES) }),
]);
export type FailoverProgress = Readonly<z.output<typeof failoverProgressSchema>>;

/** `verify`, while the disks are compared. */
export const verifyProgressSchema = z.object({
  stage: z.literal('verify'),
  ...bytesDone,
  suspectBytes: count.describe('differed so far, most likely because a write was under way'),
});
export type VerifyProgress = Readonly<z.output<typeof verifyProgressSchema>>;

/** A place where the replica is not what the primary has written. */
export const wrongPlaceSchema = z.object({
  disk: z.string(),
  offset: count.describe('in bytes; a multiple of 512'),
  length: count.describe('in bytes; a multiple of 512'),
  isRepaired: z.boolean(),
});
export type WrongPlace = Readonly<z.output<typeof wrongPlaceSchema>>;

/** What came of a `verify`. */
export const verifyReportSchema = z.object({
  isWhole: z.boolean().describe('false: it ended before all disks were compared'),
  comparedBytes: count,
  ms: count,
  wrongBytes: count,
  repairedBytes: count.describe('of `wrongBytes`'),
  busyBytes: count.describe(
    'written again and again meanwhile, so that they could not be compared',
  ),
  places: z.array(wrongPlaceSchema).describe('the first ones'),
});
export type VerifyReport = Readonly<z.output<typeof verifyReportSchema>>;

/** A snapshot of the last commit, to be read for a backup. */
export const snapshotViewSchema = z.object({
  epoch: z.number().int(),
  at: z.iso.datetime().describe('when it was taken'),
  isHeld: z.boolean().describe('until it is dropped; else until nobody reads it'),
  readers: z.number().int().describe('connections'),
  keptBytes: count.describe('what later epochs have overwritten since, in a file'),
  limitBytes: count.describe('of that file'),
});
export type SnapshotStatus = Readonly<z.output<typeof snapshotViewSchema>>;

/** `snapshot`: the one that there is now, and where it is read. */
export const snapshotReportSchema = z.object({
  snapshot: snapshotViewSchema.nullable().describe('null: there is none any more'),
  disks: z.array(
    z.object({ disk: z.string(), uri: z.string().describe('for nbdcopy, qemu-img and others') }),
  ),
});
export type SnapshotReport = Readonly<z.output<typeof snapshotReportSchema>>;

/** How a failover went. Times count from the call, in milliseconds. */
export const failoverReportSchema = z.object({
  epoch: z.number().int().describe('the epoch from which the VM continues'),
  evidence: z.enum(FAILOVER_EVIDENCE).describe('why the primary was taken to be dead'),
  takenOverMs: z.number().describe('until the secondary VM ran as the VM'),
  durableMs: z.number().describe('until the failover was on stable storage'),
  movedMs: z.number().describe('until the guest used its local disks'),
});
export type FailoverReport = Readonly<z.output<typeof failoverReportSchema>>;

export const moveProgressSchema = z.object({ stage: z.enum(MOVE_STAGES) });
export type MoveProgress = Readonly<z.output<typeof moveProgressSchema>>;

/** How a move went. */
export const moveReportSchema = z.object({
  movedTo: z.string().describe('the host that runs the VM now'),
  stillMs: z
    .number()
    .nullable()
    .describe(
      'at most so long no guest ran: from the beginning of the last checkpoint until the ' +
        'secondary said that it has taken over; null if it was moved before',
    ),
});
export type MoveReport = Readonly<z.output<typeof moveReportSchema>>;
