/**
 * The record of who may run a VM: each side has one, on stable storage, and acts on it only once it
 * is there. docs/reference/term-file.md describes the file and the rules.
 */
import { z } from 'zod';
import { COPY_WORDS, EVIDENCE_KINDS } from './states.js';

export const TERM_FORMAT = 'gannet-term-1';

export const termRecordSchema = z.object({
  lineage: z
    .string()
    .nullable()
    .describe('identifies the VM through all its failovers; null before it was first protected'),
  term: z.number().int().nonnegative().describe('only ever rises; the higher one is right'),
  word: z.enum(COPY_WORDS).describe('what this side said last of its own copy'),
  isForced: z.boolean().describe('an operator overruled what was known'),
  evidence: z
    .enum(EVIDENCE_KINDS)
    .nullable()
    .describe('what allowed this side to say it; null if nothing had to'),
  mustProve: z
    .boolean()
    .default(false)
    .describe(
      'the primary has promised for this term not to go on alone before the secondary has ' +
        'yielded or was fenced',
    ),
  lacks: z
    .object({
      reason: z
        .string()
        .transform((text) => text.slice(0, 1024))
        .describe('what has failed'),
      hasReplica: z.boolean().describe('whether the secondary has them'),
      qemu: z
        .string()
        .transform((text) => text.slice(0, 64))
        .nullable()
        .default(null)
        .describe('the QEMU process whose guest was told so; null if it is not known'),
    })
    .nullable()
    .default(null)
    .describe(
      "the primary's own disk lacks writes that its guest was told are done: it may not run on it",
    ),
  isDetached: z
    .boolean()
    .optional()
    .describe('an operator has ended the protection: it does not begin by itself'),
  movedTo: z
    .string()
    .transform((text) => text.slice(0, 256))
    .optional()
    .describe(
      'a primary has handed the VM over to the secondary on this host, after a last checkpoint: ' +
        'its guest is stopped, and it does not go on by itself',
    ),
  at: z.iso.datetime().describe('when it was written; for people'),
});
/** What one side says of its copy, as it is on its disk. */
export type TermRecord = Readonly<z.output<typeof termRecordSchema>>;

/** The file: the record, and whose it is. */
export const termFileSchema = termRecordSchema.extend({
  format: z.literal(TERM_FORMAT),
  vm: z.string(),
});
