import type { RemedyCase } from './case.js';
import { EVENT_CASES } from './cases-events.js';
import { REFUSAL_CASES } from './cases-refusals.js';
import { VERDICT_CASES } from './cases-verdicts.js';

export const CASES: readonly RemedyCase[] = [...VERDICT_CASES, ...EVENT_CASES, ...REFUSAL_CASES];
