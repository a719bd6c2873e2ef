import { formatAge } from '../format.js';
import type { PairFacts } from './pair-facts.js';
import { automaticRemedy } from './automatic-words.js';
import type { GuestPlace, VerdictLevel, VerdictRule } from './verdict-rule.js';
import { type VerdictCode, VERDICTS } from './verdict-table.js';

/** What people and programs need to know first. */
export interface Verdict {
  readonly code: VerdictCode;
  readonly level: VerdictLevel;
  readonly headline: string;
  /** What to do, and on which host; empty if there is nothing to do. */
  readonly remedy: string;
  readonly guest: GuestPlace;
}

/** The first verdict of the table whose condition holds. */
export function verdictOfFacts(facts: PairFacts): Verdict {
  const [code, { level, guest, say }] = RULES.find(([, { when }]) => when(facts)) ?? LAST;
  const { headline, remedy = '' } = say(facts);
  const remedyNow = HAS_PROTECT.has(code) ? (automaticRemedy(facts) ?? remedy) : remedy;
  const said = headline + age(facts) + unwritten(facts);
  return { code, level, headline: said, remedy: [remedyNow, memo(facts)].join(' ').trim(), guest };
}

/** Whatever else is so, this is the first thing to do. */
function unwritten({ termTrouble }: PairFacts): string {
  return termTrouble === '' ? '' : `; ${termTrouble}`;
}

function memo({ termTrouble }: PairFacts): string {
  if (termTrouble === '') return '';
  return (
    "Free space for this host's term file, and make its folder writable; do not end this daemon " +
    'before: the next one would not know what this one knows.'
  );
}

/** What the other daemon said before it fell silent may no longer be so. */
function age({ here, pulse, primary, secondary }: PairFacts): string {
  const { knowledge, ageMs } = here === 'primary' ? secondary : primary;
  if (knowledge !== 'stale' || pulse !== 'lost') return '';
  return ` (the other daemon was heard ${formatAge(ageMs)} ago)`;
}

/** Their remedies end with `protect` or `reprotect`, which may be done by itself. */
const HAS_PROTECT: ReadonlySet<VerdictCode> = new Set([
  ...(['survivor', 'alone', 'diverged', 'secondary-down', 'unprotected'] as const),
]);

const RULES = Object.entries(VERDICTS) as [VerdictCode, VerdictRule][];
const LAST: [VerdictCode, VerdictRule] = ['disagreement', VERDICTS.disagreement];
