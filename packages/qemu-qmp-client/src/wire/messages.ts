import { QmpProtocolError } from '../errors.js';
import type { QmpEvent } from '../schema/events.js';
import type { VersionTriple } from '../schema/machine.js';

/** Version of QEMU as its greeting gives it; `package` is the distributor's text, often empty. */
export interface QmpVersion extends VersionTriple {
  readonly package: string;
}

/** What the server sends; one line each (qmp-spec, "Protocol Specification"). */
export type Message =
  | {
      readonly kind: 'greeting';
      readonly version: QmpVersion;
      readonly capabilities: readonly string[];
    }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: unknown; readonly value: unknown }
  | {
      readonly kind: 'error';
      readonly id: unknown;
      readonly errorClass: string;
      readonly desc: string;
    };

type JsonObject = Readonly<Record<string, unknown>>;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes one line, without its LF; undefined for a blank one. `id` is undefined where the server
 * sent none. Members that are not known are ignored, as qmp-spec asks ("Compatibility
 * Considerations").
 * @throws QmpProtocolError `QMP_MALFORMED_JSON`
 * @throws QmpProtocolError `QMP_MALFORMED_MESSAGE`
 * @throws QmpProtocolError `QMP_GREETING_INVALID`
 */
export function decodeMessage(line: Uint8Array): Message | undefined {
  const text = decodeText(line);
  if (text.trim() === '') return undefined;
  const json = parseJson(text);
  if (!isObject(json)) throw malformed('is no JSON object', text);
  if ('QMP' in json) return decodeGreeting(json['QMP'], text);
  if ('event' in json) return { kind: 'event', event: decodeEvent(json, text) };
  if ('return' in json) return { kind: 'return', id: json['id'], value: json['return'] };
  if ('error' in json) return decodeError(json, text);
  throw malformed('is none of greeting, return, error and event', text);
}

/**
 * One command as a line, with its LF.
 * @throws TypeError from JSON.stringify, for arguments that JSON cannot express
 */
export function encodeCommand(
  command: string,
  args: object | undefined,
  id: string,
  oob: boolean,
): string {
  const key = oob ? 'exec-oob' : 'execute';
  return `${JSON.stringify({ [key]: command, arguments: args, id })}\n`;
}

function decodeText(line: Uint8Array): string {
  try {
    return utf8.decode(line);
  } catch (cause) {
    throw new QmpProtocolError('QMP_MALFORMED_JSON', 'a line is not UTF-8', { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const hint = text.trim() === '{' ? ' (a monitor with pretty=on cannot be used)' : '';
    const message = `a line is not JSON${hint}: ${excerpt(text)}`;
    throw new QmpProtocolError('QMP_MALFORMED_JSON', message, { cause });
  }
}

function decodeGreeting(greeting: unknown, text: string): Message {
  const invalid = (what: string): QmpProtocolError =>
    new QmpProtocolError('QMP_GREETING_INVALID', `the greeting has no ${what}: ${excerpt(text)}`);
  if (!isObject(greeting) || !isObject(greeting['version'])) throw invalid('version');
  const { qemu, package: packageText } = greeting['version'];
  if (!isObject(qemu)) throw invalid('version');
  const { major, minor, micro } = qemu;
  if (!isCount(major) || !isCount(minor) || !isCount(micro)) throw invalid('version');
  const { capabilities } = greeting;
  if (!Array.isArray(capabilities)) throw invalid('capabilities');
  return {
    kind: 'greeting',
    version: { major, minor, micro, package: typeof packageText === 'string' ? packageText : '' },
    // A capability that is not a string would be one of a protocol we do not speak.
    capabilities: capabilities.filter((name) => typeof name === 'string'),
  };
}

function decodeEvent(json: JsonObject, text: string): QmpEvent {
  const { event, timestamp, data } = json;
  if (typeof event !== 'string') throw malformed('is an event without a name', text);
  if (!isObject(timestamp)) throw malformed('is an event without a timestamp', text);
  const { seconds, microseconds } = timestamp;
  if (typeof seconds !== 'number' || typeof microseconds !== 'number') {
    throw malformed('is an event without a timestamp', text);
  }
  if (data !== undefined && !isObject(data)) {
    throw malformed('is an event whose data is no object', text);
  }
  // The shape of `data` is QEMU's promise (its schema), not checked here: clients must be liberal.
  const decoded = { event, timestamp: { seconds, microseconds }, ...(data && { data }) };
  return decoded as QmpEvent;
}

function decodeError(json: JsonObject, text: string): Message {
  const { error, id } = json;
  if (!isObject(error)) throw malformed('is an error without class and desc', text);
  const { class: errorClass, desc } = error;
  if (typeof errorClass !== 'string' || typeof desc !== 'string') {
    throw malformed('is an error without class and desc', text);
  }
  return { kind: 'error', id, errorClass, desc };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function malformed(what: string, text: string): QmpProtocolError {
  return new QmpProtocolError('QMP_MALFORMED_MESSAGE', `a message ${what}: ${excerpt(text)}`);
}

const EXCERPT_CHARS = 120;

function excerpt(text: string): string {
  return JSON.stringify(
    text.length > EXCERPT_CHARS ? `${text.slice(0, EXCERPT_CHARS)}…` : text.trimEnd(),
  );
}
