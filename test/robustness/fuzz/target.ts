import type { Random } from '@gannet/test-support/random.js';

/** Something that takes bytes from a stranger. */
export interface Target {
  readonly name: string;
  /** Well-formed inputs, to begin with. */
  readonly make: (random: Random) => Buffer;
  /** Words of the language, to be put into inputs. */
  readonly words: readonly Buffer[];
  /**
   * @throws where something is wrong with what the code under test did: an error of a kind that it
   * may throw is not
   */
  readonly run: (input: Buffer) => void | Promise<void>;
  /** Mends what no mutation gets right by chance, such as digests. */
  readonly mend?: (input: Buffer, random: Random) => Buffer;
  /** Inputs longer than this are not tried. */
  readonly bytesMax: number;
}

/** The code under test did what it must never do. */
export class Finding extends Error {}

/** Fails unless an error is one that the code may throw. */
export function expectKnown(
  error: unknown,
  ...kinds: readonly (abstract new (...args: never[]) => Error)[]
): void {
  if (!kinds.some((kind) => error instanceof kind)) {
    throw new Finding(`threw what it must not: ${String(error)}`, { cause: error });
  }
}
