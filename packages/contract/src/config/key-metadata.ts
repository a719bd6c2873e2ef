/**
 * Documentation of a configuration key. zod stores it with the schema and z.toJSONSchema() returns
 * it: docs/reference/config.md and the manual page are generated from it.
 */
export type KeyNotes = {
  readonly description: string;
  /** A value as it may be written in a file. */
  readonly example?: unknown;
  readonly unit?: 'ms' | 'µs' | 'bytes' | 'bytes a second';
  /** Which daemon reads it, if the section does not already say so. */
  readonly host?: 'primary' | 'secondary';
  /** The default in words, if it is not a constant of the schema. */
  readonly fallback?: string;
  /** A running daemon applies a change of it at SIGHUP. */
  readonly reloads?: true;
  /** A page in docs/ that explains more. */
  readonly see?: string;
};

type MoreNotes = Omit<KeyNotes, 'description' | 'example'>;

/** Documents a key: the result goes into its schema's `meta()`. */
export function key(description: string, example: unknown, more: MoreNotes = {}): KeyNotes {
  return { description, example, ...more };
}

/** Documents a section, that is, a key that holds other keys. */
export function section(description: string, more: MoreNotes = {}): KeyNotes {
  return { description, ...more };
}

/** Describes the form of a value in words, where the schema has only a pattern or a function. */
export function looks(form: string): { readonly form: string } {
  return { form };
}
