/** The keys of a configuration file, read from its schema. */
import { z } from 'zod';
import type { KeyNotes } from './key-metadata.js';
import { fileSchema } from './schema.js';

/** A key, for the manual page and docs/reference/config.md. */
export interface ConfigKey extends Omit<KeyNotes, 'description' | 'reloads'> {
  /** As in docs/reference/config.md: `primary.nbd`, `disks[].name`. */
  readonly key: string;
  readonly text: string;
  /** Form of a value, in words: `integer`, `true or false`, `one of …`, `address`, `list of …`. */
  readonly form: string;
  /** Smallest and largest value of a number; undefined if there is no limit. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** The default as JSON; undefined if there is none. */
  readonly defaultText: string | undefined;
  readonly choices: readonly string[];
  /** Whether its section must have it. */
  readonly isRequired: boolean;
  readonly reloads: boolean;
}

/** A key that has keys of its own. The first section is the file itself. */
export interface ConfigSection {
  /** Such as `disks[]` or `http.tls`; '' for the file. */
  readonly name: string;
  readonly text: string;
  readonly see: string | undefined;
  readonly isRequired: boolean;
  readonly keys: readonly ConfigKey[];
}

/** The parts of JSON Schema (draft 2020-12) that are read here, and the notes of key(). */
interface Shape extends Partial<KeyNotes> {
  readonly type?: string;
  readonly form?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

/** All keys, in the order of the schema. */
export function configKeys(): ConfigKey[] {
  return configSections().flatMap(({ keys }) => keys);
}

/** All sections, each with its keys. */
export function configSections(): ConfigSection[] {
  const shape = z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' }) as Shape;
  return sectionsOf(shape, '', shape, true);
}

function sectionsOf(
  { properties = {}, required = [] }: Shape,
  name: string,
  { description = '', see }: Shape,
  isRequired: boolean,
): ConfigSection[] {
  const above = name === '' ? '' : `${name}.`;
  const keys: ConfigKey[] = [];
  const below: ConfigSection[] = [];
  for (const [part, shape] of Object.entries(properties)) {
    const isNeeded = required.includes(part);
    const list = shape.items?.properties && shape.items;
    if (list) below.push(...sectionsOf(list, `${above}${part}[]`, shape, isNeeded));
    else if (shape.properties) below.push(...sectionsOf(shape, above + part, shape, isNeeded));
    else keys.push(keyOf(above + part, shape, isNeeded));
  }
  return [{ name, text: description, see, isRequired, keys }, ...below];
}

function keyOf(key: string, shape: Shape, isRequired: boolean): ConfigKey {
  const { description = '', unit, fallback, see } = shape;
  const above = /^(primary|secondary)\b|\.(primary|secondary)\./.exec(key);
  const host = shape.host ?? ((above?.[1] ?? above?.[2]) as ConfigKey['host']);
  return {
    ...{ key, text: description, form: formOf(shape), ...rangeOf(shape), isRequired },
    defaultText: shape.default === undefined ? undefined : JSON.stringify(shape.default),
    choices: (shape.enum ?? []).map(String),
    ...{ example: shape.example, reloads: shape.reloads === true },
    ...(unit && { unit }),
    ...(host && { host }),
    ...(fallback !== undefined && { fallback }),
    ...(see !== undefined && { see }),
  };
}

function formOf({ form, type = '', enum: choices, items, minItems = 0 }: Shape): string {
  if (form !== undefined) return form;
  if (choices) return `one of ${choices.map((choice) => `\`${String(choice)}\``).join(', ')}`;
  if (type === 'array') return `list of ${items?.type ?? ''}s${minItems > 0 ? ', not empty' : ''}`;
  return type === 'boolean' ? 'true or false' : type;
}

/** zod gives every integer the largest safe integer as its maximum. */
function rangeOf({ minimum, exclusiveMinimum, maximum }: Shape): Pick<ConfigKey, 'min' | 'max'> {
  const min = minimum ?? (exclusiveMinimum === undefined ? undefined : exclusiveMinimum + 1);
  return { min, max: maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum };
}
