import { InputError, splitWords, type Word } from './input.js';
import type { Argument, SchemaIndex } from './schema-index.js';

/** For node:readline: what may stand in place of the last word, and that word. */
export type Completion = [candidates: string[], replaced: string];

/** Names of commands first, then of arguments, then values of enumerations and booleans. */
export function complete(schema: SchemaIndex, line: string): Completion {
  const start = Math.max(line.lastIndexOf(' '), line.lastIndexOf('\t')) + 1;
  const last = line.slice(start);
  const matching = (all: readonly string[]): Completion => [
    all.filter((one) => one.startsWith(last)),
    last,
  ];
  const words = finishedWords(line.slice(0, start));
  if (words === undefined) return [[], last];
  const [command, ...given] = words;
  if (command === undefined) return matching(schema.commands.map((name) => `${name} `));
  if (command.text === 'help') return matching(given.length === 0 ? schema.commands : []);
  return matching(argumentsFor(schema, command.text, given, last));
}

/** Undefined within a quote or bracket, where nothing can be completed. */
function finishedWords(text: string): Word[] | undefined {
  try {
    return splitWords(text);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function argumentsFor(
  schema: SchemaIndex,
  command: string,
  given: readonly Word[],
  last: string,
): readonly string[] {
  const typed = new Map(
    given.map(({ text, valueAt }) => [text.slice(0, valueAt - 1), text.slice(valueAt)]),
  );
  const [key = ''] = last.split('=', 1);
  const path = key.split('.').slice(0, -1);
  const prefix = path.map((name) => `${name}.`).join('');
  const all = schema.argumentsOf(command, path, typed);
  if (last.includes('=')) {
    const argument = all.find(({ name }) => `${prefix}${name}` === key);
    return argument?.values.map((value) => `${key}=${value} `) ?? [];
  }
  return all.flatMap((one) => keysOf(one, prefix)).filter((one) => !typed.has(one.slice(0, -1)));
}

function keysOf({ name, nested, scalar }: Argument, prefix: string): string[] {
  return [...(scalar ? [`${prefix}${name}=`] : []), ...(nested ? [`${prefix}${name}.`] : [])];
}
