/**
 * What a primary's daemon asks of its secondary's to compare the replica with its own disks, inside
 * of `ask` and `answer` of the peer link. Only digests cross the link, and what is repaired.
 */
import { z } from 'zod';

/** The most ranges that are watched at a time. */
export const WATCHED_RANGES_MAX = 1024;
/** The longest range that is digested or repaired with one question. */
export const AUDIT_BYTES_MAX = 16 * 1024 * 1024;
const REPAIR_BYTES_MAX = 512 * 1024;
const DIGESTS_MAX = 8192;
const GRAIN_BYTES_MIN = 512;

const place = { disk: z.string(), offset: z.number().int().nonnegative() };
const length = z.number().int().positive();

export const auditQuestionSchema = z.discriminatedUnion('kind', [
  /** Note what the primary writes to these ranges from now on, and to no others. */
  z.object({
    kind: z.literal('watch'),
    ranges: z.array(z.object({ ...place, length })).max(WATCHED_RANGES_MAX),
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
  digests: z.array(z.string().max(64)).max(DIGESTS_MAX).default([]),
  arrived: z
    .array(z.tuple([z.number().int(), z.number().int()]))
    .default([])
    .describe('runs [start, end) of bytes'),
  writtenBytes: z.number().default(0),
});
export type AuditAnswer = Readonly<z.output<typeof auditAnswerSchema>>;
