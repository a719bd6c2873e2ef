/** The verdicts on a VM that is being moved, or was. */
import type { VerdictRule } from './verdict-rule.js';
import { failover, onPrimary, onSecondary, unfitReason } from './verdict-words.js';

export const MOVE_VERDICTS = {
  moved: {
    level: 'warning',
    guest: 'secondary',
    meaning: 'The VM was moved from this host to the other one. Nothing protects it.',
    when: ({ here, primary }) =>
      here === 'primary' && primary.state === 'superseded' && primary.movedTo !== '',
    say: (facts) => ({
      headline: `The VM has moved to host ${facts.primary.movedTo}; the copy here is stopped`,
      remedy:
        'To protect it with this host, end the QEMU and the daemon here, start both as its ' +
        `secondary (--overwrite); then, on ${onSecondary(facts)}, run: ` +
        `gannet reprotect ${facts.vm}`,
    }),
  },
  'handing-over': {
    level: 'bad',
    guest: 'nowhere',
    meaning:
      'The VM is being moved: the guest of the primary is stopped, and the secondary is to go on.',
    when: ({ primary }) => primary.state === 'yielding' && primary.movedTo !== '',
    say: (facts) => ({
      headline: `The VM moves to ${onSecondary(facts)}: its guest is stopped until it runs there`,
      remedy: facts.secondary.mayFailOver
        ? `If this lasts, ${failover(facts)}. Nothing is lost. Only if the copy there cannot ` +
          `run, on ${onPrimary(facts)}, run: gannet failover ${facts.vm} --force`
        : `The copy there cannot take over: ${unfitReason(facts)}. To go on here, on ` +
          `${onPrimary(facts)}, run: gannet failover ${facts.vm} --force`,
    }),
  },
} as const satisfies Record<string, VerdictRule>;
