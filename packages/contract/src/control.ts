import { EXIT, type ExitName } from './errors.js';

/**
 * The control socket: WebSocket frames of JSON on a unix socket, mode 0600 or 0660 for a group.
 *
 *     caller → daemon   { id, method, params, actor? }   who asks, in words, for the log
 *     daemon → caller   { id, progress }*  then  { id, result }  or  { id, error }
 *     daemon → caller   { event }          to those who called `watch`
 *
 * No zod here: a command that asks a daemon must start fast. methods.ts has the requests.
 */
export const CONTROL_PROTOCOL = 1;
/** The id of an answer to what was no request. */
export const NO_REQUEST_ID = -1;
/** A longer message is not one of ours. */
export const MESSAGE_BYTES_MAX = 1024 * 1024;

/** Why a request failed, with all that a GannetError has. */
export interface ReplyError {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly exit: ExitName;
}

/** What a daemon sends. */
export type ControlReply =
  | { readonly id: number; readonly progress: unknown }
  | { readonly id: number; readonly error: ReplyError }
  | { readonly id: number; readonly result: unknown }
  | { readonly event: unknown };

/** What a frame says. Undefined if it is no reply. */
export function replyOf(text: string): ControlReply | undefined {
  let reply: Record<string, unknown>;
  try {
    reply = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const keys = Object.keys(reply).sort().join();
  if (keys === 'event') return { event: reply['event'] };
  const { id } = reply;
  if (!Number.isInteger(id)) return undefined;
  if (keys === 'error,id')
    return isReplyError(reply['error']) ? (reply as ControlReply) : undefined;
  return keys === 'id,result' || keys === 'id,progress' ? (reply as ControlReply) : undefined;
}

function isReplyError(value: unknown): value is ReplyError {
  const { code, message, remedy, exit } = Object(value) as Record<string, unknown>;
  const isText = [code, message, remedy].every((text) => typeof text === 'string');
  return isText && typeof exit === 'string' && Object.hasOwn(EXIT, exit);
}

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
