/** The keys of a configuration file, read from the schema that checks it. */
import { z } from 'zod';
import { fileSchema } from '../config.js';

export interface ConfigKey {
  /** As in docs/commands.md: `primary.nbd`, `disks[].name`. */
  readonly key: string;
  readonly text: string;
  /** As in JSON; undefined without one. */
  readonly defaultText: string | undefined;
  readonly choices: readonly string[];
}

/** What z.toJSONSchema() makes of an object, as far as it is read here (JSON Schema, draft 2020-12). */
interface Shape {
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

export function configKeys(): ConfigKey[] {
  const shape = z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' }) as Shape;
  return keysOf(shape, '');
}

function keysOf({ properties = {} }: Shape, above: string): ConfigKey[] {
  return Object.entries(properties).flatMap(([name, shape]) => {
    const key = above + name;
    if (shape.properties) return keysOf(shape, `${key}.`);
    if (shape.items?.properties) return keysOf(shape.items, `${key}[].`);
    const defaultText = shape.default === undefined ? undefined : JSON.stringify(shape.default);
    const choices = (shape.enum ?? []).map(String);
    return [{ key, text: shape.description ?? '', defaultText, choices }];
  });
}
