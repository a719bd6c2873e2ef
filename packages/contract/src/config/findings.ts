/** What is wrong with a configuration file: in words, with the key, its line and its column. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { nearest } from '../nearest.js';
import { configSections } from './keys.js';

type Path = readonly PropertyKey[];

/** The text of a configuration file. */
export class ConfigText {
  readonly #lines = new LineCounter();
  readonly #yaml;
  /** What it says, before it is checked. */
  readonly document: unknown;

  /**
   * @param file its name, for messages
   * @throws Error of the parser whose message has the line and the column
   */
  constructor(
    readonly file: string,
    text: string,
  ) {
    this.#yaml = parseDocument(text, { logLevel: 'error', lineCounter: this.#lines });
    // Warnings count as errors: an unknown tag, for example, would be ignored silently.
    const [flaw] = [...this.#yaml.errors, ...this.#yaml.warnings];
    if (flaw) throw flaw;
    this.document = this.#yaml.toJS();
  }

  /** The file's name and, for each issue, a line with its key and its place. */
  describe(issues: readonly z.core.$ZodIssue[]): string {
    const lines = issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => this.#line(issue.path, unknownKey(issue.path, key), key))
        : [this.#line(issue.path, issue.message)],
    );
    return `${this.file}:\n${lines.join('\n')}`;
  }

  /** ` (line 3, column 5)`; '' if the key is not in the file, nor a section around it. */
  at(key: string): string {
    const [path = ''] = key.split(':');
    return this.#placeOf(path.split('.'));
  }

  #line(path: Path, message: string, ...below: string[]): string {
    const key = path.length > 0 ? path.join('.') : 'the file';
    return `  ${key}: ${message}${this.#placeOf([...path, ...below])}`;
  }

  /** Of the key, or of the nearest section around it; '' if none of it is in the file. */
  #placeOf(path: Path): string {
    let node: unknown = this.#yaml.contents;
    let at: number | undefined;
    for (const part of path) {
      if (isAlias(node)) node = node.resolve(this.#yaml);
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && key.value === part);
        if (!pair) break;
        if (isScalar(pair.key)) at = pair.key.range?.[0] ?? at;
        node = pair.value;
      } else if (isSeq(node)) {
        const item: unknown = node.items[Number(part)];
        if (!isMap(item) && !isScalar(item)) break;
        at = item.range?.[0] ?? at;
        node = item;
      } else break;
    }
    if (at === undefined) return '';
    const { line, col } = this.#lines.linePos(at);
    return ` (line ${line}, column ${col})`;
  }
}

function unknownKey(path: Path, key: string): string {
  const meant = nearest(key, keysAt(path));
  return `there is no key "${key}" here${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
}

/** The keys that a section may have. */
function keysAt(path: Path): string[] {
  const name = path.map((part) => (typeof part === 'number' ? '[]' : `.${String(part)}`)).join('');
  const section = name === '' ? '' : `${name.slice(1)}.`;
  const keys = configSections().flatMap(({ name: one, keys: all }) => [
    one.replace(/\[\]$/, ''),
    ...all.map(({ key }) => key),
  ]);
  return keys
    .filter((key) => key.startsWith(section))
    .map((key) => key.slice(section.length))
    .filter((key) => key !== '' && !key.includes('.'));
}

/** Words for zod's own messages; undefined keeps the message of the schema. */
export function plainMessage(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case 'invalid_type':
      return typeMessage(issue.expected, input);
    case 'invalid_value':
      return valueMessage(issue.values.map(String), input);
    case 'too_small':
      if (issue.origin !== 'number' && issue.origin !== 'int') return 'must not be empty';
      return `must be ${issue.inclusive === true ? 'at least' : 'above'} ${issue.minimum}`;
    case 'too_big':
      return `must be ${issue.inclusive === true ? 'at most' : 'below'} ${issue.maximum}`;
    default:
      return undefined;
  }
}

function valueMessage(values: readonly string[], input: unknown): string {
  const wanted = `write one of ${values.join(', ')}`;
  if (typeof input !== 'string') return wanted;
  const meant = nearest(input, values);
  return `${wanted}, not "${input}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
}

function typeMessage(expected: string, input: unknown): string {
  const what = TYPES[expected] ?? expected;
  if (input === undefined || input === null) return `is missing: write ${what}`;
  if (expected === 'int' && typeof input === 'number') return `must be ${what}`;
  return `must be ${what}, but is ${TYPES[Array.isArray(input) ? 'array' : typeof input]}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys to values',
};
