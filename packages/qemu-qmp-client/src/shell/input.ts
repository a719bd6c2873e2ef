/**
 * What is typed into the shell, to a command. As in QEMU's qmp-shell:
 *
 *   blockdev-add driver=qcow2 node-name=disk file.driver=file file.filename=/disk.qcow2
 *   human-monitor-command command-line="info block"
 *   blockdev-add driver=quorum vote-threshold=1 children=["a", "b"]
 *   {"execute": "query-block"}
 *
 * A dot in a key goes one object deeper. A value is a number, true, false, null, JSON that begins
 * with a bracket or brace (which may be quoted as a whole), or else a string. Quotes make a string
 * of anything else: port="4444".
 */

export interface ShellCommand {
  readonly command: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly oob: boolean;
  /** Of a raw line that had one; the reply shows it again. */
  readonly id?: unknown;
}

/** A line that cannot be sent; its message says why. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** One word, without its quotes. */
export interface Word {
  readonly text: string;
  /** Where its value began, after the first `=`; -1 for none. */
  readonly valueAt: number;
  /** The value began with a quote. */
  readonly quoted: boolean;
}

type JsonObject = Record<string, unknown>;

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const LITERALS = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/**
 * The command of a line; undefined for a blank one or a comment (`#`).
 * @throws InputError
 */
export function parseLine(line: string): ShellCommand | undefined {
  const text = line.trim();
  if (text === '' || text.startsWith('#')) return undefined;
  if (text.startsWith('{')) return parseRaw(text);
  const [first, ...words] = splitWords(text);
  if (first === undefined) return undefined;
  if (first.valueAt !== -1) {
    throw new InputError(`a line begins with a command's name; ${first.text} is an argument`);
  }
  const args: JsonObject = {};
  for (const word of words) setArgument(args, word);
  return { command: first.text, args, oob: false };
}

/**
 * Words between blanks; quotes and a value in brackets keep blanks in.
 * @throws InputError where a quote or bracket stays open
 */
export function splitWords(text: string): Word[] {
  const words: Word[] = [];
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const { word, end } = readWord(text, at);
    words.push(word);
    at = skipBlanks(text, end);
  }
  return words;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && isBlank(text[at])) at += 1;
  return at;
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t';
}

function readWord(text: string, start: number): { word: Word; end: number } {
  let word = '';
  let valueAt = -1;
  let quoted = false;
  let at = start;
  while (at < text.length && !isBlank(text[at])) {
    const char = text.charAt(at);
    const atValue = valueAt !== -1 && word.length === valueAt;
    if (char === '"' || char === "'") {
      const { content, end } = readQuoted(text, at);
      quoted ||= atValue;
      word += content;
      at = end;
    } else if (atValue && !quoted && (char === '[' || char === '{')) {
      const end = endOfJson(text, at);
      word += text.slice(at, end);
      at = end;
    } else {
      word += char;
      at += 1;
      if (char === '=' && valueAt === -1) valueAt = word.length;
    }
  }
  return { word: { text: word, valueAt, quoted }, end: at };
}

/** In double quotes a backslash escapes a quote and itself; in single ones nothing does. */
function readQuoted(text: string, start: number): { content: string; end: number } {
  const quote = text.charAt(start);
  let content = '';
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text.charAt(at);
    const next = text[at + 1];
    if (char === quote) return { content, end: at + 1 };
    if (char === '\\' && quote === '"' && (next === '"' || next === '\\')) {
      content += next;
      at += 1;
    } else {
      content += char;
    }
  }
  throw new InputError(`the quote ${quote} is not closed: ${text.slice(start)}`);
}

function endOfJson(text: string, start: number): number {
  let depth = 0;
  let inString = false;
  for (let at = start; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (inString) {
      if (char === '\\') at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') {
      inString = true;
    } else if (char === '[' || char === '{') {
      depth += 1;
    } else if (char === ']' || char === '}') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  throw new InputError(`a bracket is not closed: ${text.slice(start)}`);
}

function setArgument(args: JsonObject, word: Word): void {
  if (word.valueAt < 2) throw new InputError(`${word.text} is not of the form name=value`);
  const key = word.text.slice(0, word.valueAt - 1);
  const path = key.split('.');
  const last = path.pop() ?? '';
  if (last === '' || path.includes('')) throw new InputError(`${key}: a name is missing at a dot`);
  let object = args;
  for (const name of path) {
    const inner = own(object, name) ?? {};
    if (!isObject(inner)) throw new InputError(`${key}: ${name} has a value already`);
    put(object, name, inner);
    object = inner;
  }
  if (own(object, last) !== undefined) throw new InputError(`${key} is given twice`);
  put(object, last, parseValue(key, word.text.slice(word.valueAt), word.quoted));
}

function parseValue(key: string, text: string, quoted: boolean): unknown {
  if (text.startsWith('{') || text.startsWith('[')) return parseJson(key, text);
  if (quoted) return text;
  if (LITERALS.has(text)) return LITERALS.get(text);
  if (!NUMBER.test(text)) return text;
  const number = Number(text);
  if (Math.abs(number) > Number.MAX_SAFE_INTEGER) {
    throw new InputError(`${key}: ${text} is beyond 2^53, where numbers lose precision`);
  }
  return number;
}

function parseRaw(text: string): ShellCommand {
  const message = parseJson('the line', text);
  if (!isObject(message)) throw new InputError('the line is no JSON object');
  const { execute, 'exec-oob': execOob, arguments: args = {}, id, ...others } = message;
  const command = execute ?? execOob;
  if (typeof command !== 'string' || (execute !== undefined && execOob !== undefined)) {
    throw new InputError('a line of JSON wants either "execute" or "exec-oob", with a name');
  }
  if (!isObject(args)) throw new InputError('"arguments" is no JSON object');
  const [other] = Object.keys(others);
  if (other !== undefined) throw new InputError(`a command has no member "${other}"`);
  return { command, args, oob: execOob !== undefined, ...(id !== undefined && { id }) };
}

function parseJson(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${what}: not JSON: ${(error as Error).message}`);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** A plain assignment to `__proto__` would be lost. */
function put(object: JsonObject, name: string, value: unknown): void {
  Object.defineProperty(object, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}
