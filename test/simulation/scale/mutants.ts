// Deliberate bugs, of the placement and of the code that ships. The hard life must notice them.

import type { Edit } from '../arbitration/edges.js';
import type { PlacementName } from './placement.js';

export interface Mutant {
  readonly why: string;
  /** In the code that ships. */
  readonly edits: readonly Edit[];
  readonly placement?: PlacementName;
}

const TAKE_OVER = 'arbitration/may-take-over.js';

export const MUTANTS = {
  'any-rack': { why: 'both copies may be in one rack', edits: [], placement: 'any-rack' },
  'no-memory': { why: 'a placement does not look at memory', edits: [], placement: 'no-memory' },
  'unfit-takes-over': {
    why: 'whoever is promoted takes over',
    edits: [
      { file: TAKE_OVER, find: "if (replica.state !== 'protected') {", replace: 'if (false) {' },
      {
        file: TAKE_OVER,
        find: "if (own.word !== 'protected' && own.word !== 'taken-over') {",
        replace: 'if (false) {',
      },
      {
        file: TAKE_OVER,
        find: "return liveness === 'none' ||",
        replace: 'return true || ',
      },
    ],
  },
  'old-copy-stays': {
    why: 'a copy with an older term does not yield',
    edits: [
      {
        file: 'arbitration/compare.js',
        find: "return lead > 0 ? 'prevail' : 'yield';",
        replace: "return 'same';",
      },
    ],
  },
  'fence-does-not-count': {
    why: 'a primary does not believe its fence',
    edits: [
      {
        file: 'arbitration/may-let-go.js',
        find: "if (fence === 'succeeded')",
        replace: 'if (false)',
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;
