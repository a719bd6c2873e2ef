// Mistakes on purpose in the code that decides who may run: a simulation that does not find them
// proves nothing.

import type { Edit } from './edges.js';

export interface Mutant {
  /** What goes wrong then. */
  readonly why: string;
  readonly edits: readonly Edit[];
}

export const MUTANTS = {
  'no-fence-proof': {
    why: 'a fence counts as proof without the promise of the primary',
    edits: [
      {
        file: 'arbitration/may-take-over.js',
        find: "return liveness === 'none' || (status?.mustProve === true && isConfirmed(view));",
        replace: 'return true;',
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;

export function isMutant(name: string): name is MutantName {
  return Object.hasOwn(MUTANTS, name);
}
