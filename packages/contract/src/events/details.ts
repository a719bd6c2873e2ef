/**
 * What each kind of event carries, as schemas. What an event means (level, text, remedy, metrics)
 * is in table.ts, which the web page runs and which therefore must not import zod.
 */
import { z } from 'zod';
import type { OneOf } from '../one-of.js';
import { checkpointSchema } from '../peer.js';
import {
  GUEST_PLACES,
  VERDICT_LEVELS,
  type VerdictCode,
  VERDICTS,
} from '../verdict/verdict-table.js';
import { failoverReportSchema, verifyReportSchema, wrongPlaceSchema } from '../reports.js';
import {
  COPY_KINDS,
  COPY_WORDS,
  EVIDENCE_KINDS,
  DISK_EFFECTS,
  NO_STATES,
  PRIMARY_STATES,
  PROTECT_STAGES,
  PULSES,
  REPLICA_LINKS,
  SECONDARY_STATES,
  VM_STATES,
  WAIT_REASONS,
} from '../states.js';

const verdict = z.enum(Object.keys(VERDICTS) as [VerdictCode, ...VerdictCode[]]);
const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();
const reason = z.string().describe('why, in plain English');
const words = z.array(z.string()).readonly();
const none = z.object({});

const problem = {
  code: z.string().describe('see errors.md'),
  message: z.string(),
  remedy: z.string(),
};

/** What a commit and a failover do to the open epoch. */
const committed = {
  epoch: count,
  committedPages: count.describe('pages of 4 KiB that the epoch changed'),
  droppedPages: count.describe("pages of 4 KiB of the other VM's that were discarded"),
  unflushedWrites: count.describe("the primary's writes that no flush followed"),
  gateClosedMs: ms.describe('how long requests of both VMs waited'),
};

/** Each kind, what it says happened, and its details. */
export const EVENT_DETAILS = {
  listening: z
    .object({ exports: words.describe('names of the NBD exports') })
    .describe("The secondary's daemon serves its NBD exports."),
  web: z
    .object({ address: z.string() })
    .describe('The daemon serves the web page and the metrics.'),
  plaintext: z
    .object({ keys: words.describe('keys of the configuration'), danger: z.string() })
    .describe('An address beyond loopback has no TLS.'),
  reloaded: z
    .object({ changed: words.describe('keys whose new values are in use') })
    .describe('SIGHUP: the daemon read its configuration again.'),
  'needs-restart': z
    .object({ keys: words })
    .describe('SIGHUP: keys changed that only a restart can put into use.'),
  'not-reloaded': z
    .object(problem)
    .describe('SIGHUP: the configuration could not be used; the previous one stays in use.'),
  role: z
    .object({ reason })
    .describe('The survivor of a failover became the primary of a new secondary.'),
  'protection-waits': z
    .object({
      why: z.enum(WAIT_REASONS),
      until: z.iso.datetime().optional().describe('when it is tried again'),
    })
    .describe('With `protection: automatic`: why the VM is not protected yet.'),
  command: z
    .object({
      name: z.string(),
      phase: z.enum(['begins', 'done', 'failed']),
      actor: z.string().describe('who asked for it, as the caller says'),
      ms: ms.optional().describe('from its beginning to its end'),
      code: z.string().optional().describe('of the error, if it failed; see errors.md'),
      message: z.string().optional().describe('of the error'),
    })
    .describe('Somebody asked this daemon to do something: when it begins, and how it ends.'),
  trouble: z
    .object({
      ...problem,
      stage: z
        .enum([...PROTECT_STAGES, 'rollback'])
        .optional()
        .describe('of `protect`, if it failed there'),
      attempt: count.optional().describe('of a write-back, which is retried'),
    })
    .describe('Something failed.'),
  strangers: z
    .object({
      count: count.describe('connections since the last such event'),
      address: z.string().describe('of the last one'),
      reason,
    })
    .describe('Connections to the NBD port or the peer port were rejected.'),
  vm: z
    .object({ state: z.enum(VM_STATES), reason })
    .describe("This daemon's own QEMU came, stopped responding, or ended."),
  peer: z
    .union([
      z
        .object({ pulse: z.enum(PULSES), silentMs: ms })
        .describe('its heartbeats came, were late or stopped'),
      z
        .object({
          vm: z.enum(VM_STATES),
          state: z.enum([...PRIMARY_STATES, ...SECONDARY_STATES, ...NO_STATES]),
          link: z.enum(REPLICA_LINKS).optional().describe("of a secondary: the primary's writes"),
        })
        .describe('its state or its QEMU changed'),
      z.object({ isLeaving: z.literal(true) }).describe("a secondary's daemon is stopping"),
    ])
    .describe('News of the other daemon.'),
  protected: z
    .object({
      found: z.literal('running').optional().describe('if an earlier daemon had protected it'),
    })
    .describe('The VM is protected.'),
  unprotected: z.object({ reason }).describe('The VM is not protected any more.'),
  'stage-done': z
    .object({ stage: z.enum(PROTECT_STAGES) })
    .describe('A stage of `protect` is complete.'),
  'copy-begins': z
    .object({
      how: z.enum(COPY_KINDS).describe('`changes`: only what was written since the last copy'),
      reason,
    })
    .describe('`protect` begins to copy the disks, and how much of them.'),
  resynced: z
    .object({
      copiedBytes: count.describe('what was read of the disks and sent'),
      totalBytes: count.describe('of all disks'),
      ms,
    })
    .describe('The bases are up to date again: only what had changed was copied.'),
  'seed-link-lost': z
    .object({ device: z.string() })
    .describe('The copy of a disk lost its connection and waits for a new one.'),
  'seed-link-back': z.object({ device: z.string() }).describe('That copy continues.'),
  'secondary-lost': z.object({ reason }).describe('The primary lost its secondary.'),
  alone: z
    .object({
      reason,
      secondaryKnows: z.boolean().describe('whether the secondary confirmed it'),
    })
    .describe('The primary runs without its secondary.'),
  term: z
    .object({
      term: count,
      word: z.enum(COPY_WORDS).describe('what this side says of its own copy'),
      isForced: z.boolean(),
      evidence: z.enum(EVIDENCE_KINDS).nullable().describe('what allowed it, if it had to be'),
    })
    .describe('The term file of this side has a new record.'),
  verdict: z
    .object({
      code: verdict.describe('see verdicts.md'),
      was: verdict.nullable().describe('the one before; null when the daemon begins'),
      verdictLevel: z.enum(VERDICT_LEVELS),
      headline: z.string(),
      remedy: z.string().describe('what to do, and on which host; empty if nothing'),
      guest: z.enum(GUEST_PLACES).describe('where the guest runs, as far as this daemon knows'),
    })
    .describe('The verdict on the VM changed. It holds until the next such event.'),
  'two-copies': z
    .object({
      newest: z.enum(['primary', 'secondary']).describe('the role of the side that has it'),
      host: z.string().describe('of that side'),
      term: count.describe('of the newest copy'),
      outdatedTerm: count.describe('of the other'),
    })
    .describe(
      'Both sides say that they have the VM. The side with the older copy stops its guest.',
    ),
  foreign: z
    .object({ own: z.string().nullable(), other: z.string().nullable() })
    .describe('The other daemon has a copy of another VM, by its lineage.'),
  held: z.object({ reason }).describe('The guest was stopped until it is known that it may run.'),
  'disk-failed': z
    .object({
      device: z.string(),
      reason,
      effect: z
        .enum(DISK_EFFECTS)
        .describe(
          '`lacks-write`: only the replica has what was written; `stopped`: QEMU has stopped the ' +
            'guest; `reported`: the guest was told; `read-elsewhere`: the replica answered',
        ),
    })
    .describe("An I/O error of the primary's own disk."),
  yielding: z
    .object({ reason })
    .describe('The primary stopped its guest and asks the secondary to take over.'),
  'guest-ended': z
    .object({ reason })
    .describe('The protected guest was ended on purpose. Nobody takes over.'),
  'guest-woken': z.object({}).describe('The protected guest suspended, and was woken.'),
  'second-copy-stopped': z
    .object({})
    .describe('The copy of this side is outdated, so its guest was stopped.'),
  fence: z
    .object({
      target: z.enum(['primary', 'secondary']),
      succeeded: z.boolean(),
      words: z.string().describe('exit code and output of the command'),
    })
    .describe('The fence command ran.'),
  'taken-back': z
    .object({ reason, names: words.describe('nodes and objects of QEMU') })
    .describe('The primary removed from QEMU what an earlier daemon had left there.'),
  'replica-differs': wrongPlaceSchema.describe(
    'A place of the replica is not what the primary has written.',
  ),
  verified: verifyReportSchema
    .omit({ places: true })
    .describe("The replica was compared with the primary's disks."),
  snapshot: z
    .object({ phase: z.enum(['taken', 'dropped']), epoch: count })
    .describe('A snapshot was taken for a backup, or is not needed any more.'),
  'snapshot-lost': z
    .object({ epoch: count, reason })
    .describe('A snapshot was given up. Whoever reads it gets an I/O error.'),
  checkpoint: checkpointSchema.describe('A checkpoint is complete: what the primary knows of it.'),
  commit: z
    .object({
      ...committed,
      checkpointMs: ms.nullable().describe("from the secondary's STOP; null at the first"),
      provisional: z
        .boolean()
        .describe('the link was lost during the checkpoint: valid for a failover only'),
    })
    .describe('A checkpoint is complete: the replica committed the epoch.'),
  abort: z
    .object({ gateClosedMs: ms })
    .describe('The secondary VM stopped and resumed without a checkpoint.'),
  doubt: z
    .object({ reason })
    .describe('QEMU did not say whether a stop was a checkpoint. The next commit settles it.'),
  diverged: z.object({ reason }).describe('The replica differs from its primary for good.'),
  state: z
    .object({ from: z.enum(SECONDARY_STATES), to: z.enum(SECONDARY_STATES), reason })
    .describe('The replica changed its state.'),
  'link-lost': z.object({ reason }).describe("The primary's writes do not reach the replica."),
  'memory-pressure': z
    .object({ usedBytes: count, softBytes: count })
    .describe('The buffers passed their soft limit.'),
  'writes-held': z
    .object({ usedBytes: z.number(), hardBytes: z.number() })
    .describe(
      'The primary is lost and the buffers passed `hard`: the secondary VM is stopped until a ' +
        'failover.',
    ),
  'last-commit-kept': z
    .object({ epoch: z.number().int() })
    .describe('The primary is lost, and the bases hold the last commit.'),
  'copy-left': z
    .object({ epoch: z.number().int() })
    .describe('The daemon is stopping, the primary is lost, and the bases hold the last commit.'),
  spill: z
    .object({ trouble: z.string().optional().describe('absent: spilling works again') })
    .describe('Spilling pages to a file failed, or works again.'),
  flush: z
    .object({ trouble: z.string().optional().describe('absent: flushes are durable again') })
    .describe("After a failover: the guest's flushes can't be made durable, or can again."),
  'write-back': z
    .object({
      epochs: z.array(count).readonly(),
      writes: count,
      bytes: count,
      ms: ms.describe('duration in milliseconds'),
    })
    .describe('Committed epochs were written to the base images.'),
  'colo-exit': z
    .object({ reason: z.string().describe("QEMU's: `request` or `error`") })
    .describe("COLO ended in the secondary's QEMU."),
  leaving: none.describe("The secondary's daemon is stopping and tells its primary."),
  failover: z.object(committed).describe('The secondary VM took over.'),
  'failover-begins': z
    .object({ evidence: failoverReportSchema.shape.evidence })
    .describe('The secondary begins to take over.'),
  'network-open': none.describe("The guest's packets go out through this host."),
  'first-write': none.describe("The guest's first write after the failover."),
  'failover-durable': none.describe('The failover is on stable storage.'),
  'moved-to-local': none.describe('The guest uses its local disks.'),
  'failover-done': failoverReportSchema.describe('The failover is complete.'),
} as const;

/** Every kind of event that a daemon of this version tells. */
export type EventKind = keyof typeof EVENT_DETAILS;

type OutputOf<K extends EventKind> = z.output<(typeof EVENT_DETAILS)[K]>;

/** Of each kind; `object` if the kind says everything. */
export type EventDetails = {
  readonly [K in EventKind]: [OutputOf<K>] extends [Record<string, never>]
    ? object
    : Readonly<OneOf<OutputOf<K>>>;
};

/**
 * A line of `gannet events --json`, as far as daemons of all versions agree: a kind that is not in
 * EVENT_DETAILS has details of its own.
 */
export const eventSchema = z.looseObject({
  at: z.iso.datetime(),
  role: z.enum(['primary', 'secondary']),
  kind: z.string(),
  operation: z
    .string()
    .optional()
    .describe('id of what was under way; both daemons have the same id for it'),
  actor: z
    .string()
    .optional()
    .describe('who wanted that: the daemon, if it was no consequence of the command'),
});
/** An event of a daemon of any version. */
export type WireEvent = Readonly<z.output<typeof eventSchema>>;
