/**
 * What a daemon can be asked over its control socket: parameters, result and progress of each
 * method, which daemons have it, and whether it can be forced. The daemon's dispatch, its callers'
 * types and docs/reference/commands.md all read this one table.
 */
import { z } from 'zod';
import { GannetError } from './errors.js';
import { eventSchema } from './events/details.js';
import type { DaemonEvent } from './events/meaning.js';
import {
  failoverProgressSchema,
  failoverReportSchema,
  moveProgressSchema,
  moveReportSchema,
  protectProgressSchema,
  snapshotReportSchema,
  verifyProgressSchema,
  verifyReportSchema,
} from './reports.js';
import type { OneOf } from './one-of.js';
import { primaryStatusSchema, secondaryStatusSchema, statusSchema } from './status.js';

/** A call of a method. */
export const requestSchema = z.strictObject({
  id: z.number().int(),
  method: z.string(),
  params: z.record(z.string(), z.unknown()).default({}),
  actor: z.string().max(200).optional().describe('who asks, in words'),
});
export type ControlRequest = z.output<typeof requestSchema>;

const BOTH = ['primary', 'secondary'] as const;
const PRIMARY = ['primary'] as const;
const SECONDARY = ['secondary'] as const;

const none = z.strictObject({});
const force = z
  .boolean()
  .optional()
  .describe('even without proof that the other side is gone, or if it cannot be notified');
const overrulePeer = z
  .boolean()
  .optional()
  .describe('with `force`: though the other side is well; its guest will be stopped');
const bytesPerSec = z
  .number()
  .int()
  .nonnegative()
  .describe('speed limit of the copy, for each disk; 0 for none');

/** Typed as an event of this version: readers must expect kinds that they do not know. */
const eventOfAnyDaemon = z.custom<DaemonEvent>((value) => eventSchema.safeParse(value).success);

/**
 * `params` of a method are checked, and a key that the method does not have is refused, so that no
 * caller believes that it had an effect. `result` and `progress` are types for callers; a daemon of
 * another version may add to them.
 */
export const METHODS = {
  status: {
    text: 'the state of this side, and what it knows of the other',
    roles: BOTH,
    isForceable: false,
    params: none,
    result: statusSchema,
  },
  events: {
    text: 'what happened, oldest first',
    roles: BOTH,
    isForceable: false,
    params: none,
    result: z.array(eventOfAnyDaemon),
  },
  watch: {
    text: 'from now on, each event as an `event` frame',
    roles: BOTH,
    isForceable: false,
    params: none,
    result: z.object({}),
  },
  page: {
    text: 'the address of the web page, with its token',
    roles: BOTH,
    isForceable: false,
    params: none,
    result: z.object({ url: z.string() }),
  },
  metrics: {
    text: 'the metrics of this daemon, as Prometheus reads them',
    roles: BOTH,
    isForceable: false,
    params: none,
    result: z.object({ text: z.string() }),
  },
  inspect: {
    text: 'what `gannet check` compares: QEMU, disks and host of this side',
    roles: BOTH,
    isForceable: false,
    params: z.strictObject({
      peer: z.boolean().optional().describe('of the other side, over the peer link (primary only)'),
    }),
    result: z.unknown().describe('for a `gannet` of the same version'),
  },
  protect: {
    text: 'copies the disks, starts COLO, returns after the first checkpoint',
    roles: PRIMARY,
    isForceable: false,
    params: z.strictObject({ bytesPerSec: bytesPerSec.optional() }),
    result: primaryStatusSchema,
    progress: protectProgressSchema,
  },
  reprotect: {
    text: 'the same with a new secondary; the survivor of a failover becomes the primary first',
    roles: BOTH,
    isForceable: false,
    params: z.strictObject({ bytesPerSec: bytesPerSec.optional() }),
    result: primaryStatusSchema,
    progress: protectProgressSchema,
  },
  'seed-rate': {
    text: 'changes the speed limit of the copy in progress',
    roles: PRIMARY,
    isForceable: false,
    params: z.strictObject({ bytesPerSec }),
    result: z.object({ bytesPerSec }),
  },
  checkpoint: {
    text: 'makes a checkpoint now, returns when it is complete',
    roles: PRIMARY,
    isForceable: false,
    params: none,
    result: primaryStatusSchema,
  },
  verify: {
    text: "compares the replica with the primary's disks while the VM runs",
    roles: PRIMARY,
    isForceable: false,
    params: z.strictObject({
      repair: z.boolean().optional().describe('rewrite on the replica what is wrong'),
      bytesPerSec: z
        .number()
        .int()
        .nonnegative()
        .optional()
        .describe('speed limit on each side, for all disks together; 0 for none'),
      stop: z.boolean().optional().describe('end the one that is under way'),
    }),
    result: verifyReportSchema,
    progress: verifyProgressSchema,
  },
  move: {
    text: 'stops the guest after a last checkpoint, and lets the secondary go on from there',
    roles: PRIMARY,
    isForceable: false,
    params: none,
    result: moveReportSchema,
    progress: moveProgressSchema,
  },
  failover: {
    text: 'secondary: takes over and moves to the local disks; primary: continues alone',
    roles: BOTH,
    isForceable: true,
    params: z.strictObject({ force, overrulePeer }),
    result: z.union([failoverReportSchema, primaryStatusSchema]),
    progress: failoverProgressSchema,
  },
  detach: {
    text: 'ends the protection and restores the VM as it was; cancels a `protect`',
    roles: PRIMARY,
    isForceable: true,
    params: z.strictObject({ force }),
    result: primaryStatusSchema,
  },
  snapshot: {
    text: 'holds a snapshot of the last commit, to be read for a backup',
    roles: SECONDARY,
    isForceable: false,
    params: z.strictObject({
      drop: z.boolean().optional().describe('end the one that there is'),
    }),
    result: snapshotReportSchema,
  },
  seal: {
    text: 'external source: closes the gate at the end of an epoch',
    roles: SECONDARY,
    isForceable: false,
    params: none,
    result: secondaryStatusSchema,
  },
  commit: {
    text: 'external source: commits the sealed epoch and opens the gate',
    roles: SECONDARY,
    isForceable: false,
    params: none,
    result: secondaryStatusSchema,
  },
  abort: {
    text: 'external source: opens the gate without a commit',
    roles: SECONDARY,
    isForceable: false,
    params: none,
    result: secondaryStatusSchema,
  },
} as const;

export type MethodName = keyof typeof METHODS;
type MethodRole = 'primary' | 'secondary';

export type MethodParams<M extends MethodName> = z.output<(typeof METHODS)[M]['params']>;
/** For `failover`, which both daemons have with different results, the keys of both. */
export type MethodResult<M extends MethodName> = OneOf<z.output<(typeof METHODS)[M]['result']>>;
export type MethodProgress<M extends MethodName> = (typeof METHODS)[M] extends {
  readonly progress: infer P extends z.ZodType;
}
  ? z.output<P>
  : never;

/** Takes what a method reports while it works. */
export type Reporter<M extends MethodName> = (report: MethodProgress<M>) => void;

/** Those that the daemon of a role has. */
export type MethodsOf<R extends MethodRole> = {
  [M in MethodName]: R extends (typeof METHODS)[M]['roles'][number] ? M : never;
}[MethodName];

/** How a daemon carries a method out. Its parameters have been checked. */
export type MethodHandler<M extends MethodName> = (
  params: MethodParams<M>,
  progress: Reporter<M>,
) => MethodAnswer<M> | Promise<MethodAnswer<M>>;
type MethodAnswer<M extends MethodName> = Readonly<z.output<(typeof METHODS)[M]['result']>>;

export type MethodHandlers<M extends MethodName> = { readonly [N in M]: MethodHandler<N> };

/** @throws GannetError GANNET_USAGE that names the parameter and what is wrong with it */
export function parseParams<M extends MethodName>(method: M, params: unknown): MethodParams<M> {
  const { data, error } = METHODS[method].params.safeParse(params);
  if (data !== undefined) return data as MethodParams<M>;
  const [issue] = error.issues;
  const keys = issue?.code === 'unrecognized_keys' ? issue.keys : issue?.path;
  const name = (keys ?? []).join('.');
  const known = Object.keys(METHODS[method].params.shape);
  throw new GannetError(
    'GANNET_USAGE',
    `parameter \`${name}\` of ${method}: ${issue?.message ?? 'invalid'}`,
    known.length === 0 ? `${method} has no parameters.` : `Parameters: ${known.join(', ')}.`,
    'usage',
  );
}
