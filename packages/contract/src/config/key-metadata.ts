/**
 * What is told of a key of the configuration besides what its schema checks. zod keeps it beside the schema, and
 * z.toJSONSchema() hands it on: docs/reference/config.md and the manual page are made from that.
 */
export type KeyNotes = {
  readonly description: string;
  /** As a file may have it. */
  readonly example?: unknown;
  readonly unit?: 'ms' | 'µs' | 'bytes' | 'bytes a second';
  /** Whose daemon reads it, where that does not follow from the section. */
  readonly host?: 'primary' | 'secondary';
  /** What holds for a file without it, where that is no constant of the schema. */
  readonly fallback?: string;
  /** A daemon that runs takes a change of it at SIGHUP. */
  readonly reloads?: true;
  /** The page of docs/ that has more. */
  readonly see?: string;
};

type MoreNotes = Omit<KeyNotes, 'description' | 'example'>;

/** Attaches to a key's schema what pages and completion say of it. */
export function key(description: string, example: unknown, more: MoreNotes = {}): KeyNotes {
  return { description, example, ...more };
}

/** As `key`, for a section: a key that holds others. */
export function section(description: string, more: MoreNotes = {}): KeyNotes {
  return { description, ...more };
}

/** What a text has to look like, in words: the schema only has an expression, or a function, for it. */
export function looks(form: string): { readonly form: string } {
  return { form };
}
