import { z } from 'zod';
import { EXIT_NAMES } from './errors.js';

/**
 * The control socket: WebSocket frames of JSON on a unix socket, mode 0600 or 0660 for a group.
 *
 *     caller → daemon   { id, method, params, actor? }   who asks, in words, for the log
 *     daemon → caller   { id, progress }*  then  { id, result }  or  { id, error }
 *     daemon → caller   { event }          to those who called `watch`
 */
export const CONTROL_PROTOCOL = 1;
/** The id of an answer to what was no request. */
export const NO_REQUEST_ID = -1;
/** A longer message is not one of ours. */
export const MESSAGE_BYTES_MAX = 1024 * 1024;

export const requestSchema = z.strictObject({
  id: z.number().int(),
  method: z.string(),
  params: z.record(z.string(), z.unknown()).default({}),
  actor: z.string().max(200).optional(),
});
export type ControlRequest = z.output<typeof requestSchema>;

export type ReplyError = z.output<typeof errorSchema>;

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  remedy: z.string(),
  exit: z.enum(EXIT_NAMES),
});

export const replySchema = z.union([
  z.object({ id: z.number().int(), progress: z.unknown() }).strict(),
  z.object({ id: z.number().int(), error: errorSchema }).strict(),
  z.object({ id: z.number().int(), result: z.unknown() }).strict(),
  z.object({ event: z.unknown() }).strict(),
]);
export type ControlReply = z.output<typeof replySchema>;

/** Takes what a method reports while it works. */
export type Progress = (report: unknown) => void;
/**
 * A method as a server calls it: by its name alone, so without types.
 *
 * @param actor who asks, in words
 */
export type ControlMethod = (
  params: Record<string, unknown>,
  progress: Progress,
  actor?: string,
) => unknown;

/** @param data of a frame: ws's RawData, whose types those who use this package need not have */
export function textOf(data: Buffer | ArrayBuffer | Buffer[]): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return (Buffer.isBuffer(data) ? data : Buffer.from(data)).toString('utf8');
}
