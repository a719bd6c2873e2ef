/** What the events mean that are about the VM, and whose copy of it may run; see table.ts. */
import { formatBytes, formatMs } from '../format.js';
import type { VerdictLevel } from '../verdict/verdict-rule.js';
import type { EventLevel, EventRole, EventTable } from './meaning.js';
import { formatTime } from '../format.js';
import { type CopyWord, EVIDENCE_TEXTS, WAIT_TEXTS } from '../states.js';

const PRIMARY = ['primary'] as const;
const SECONDARY = ['secondary'] as const;
const CHECK_STORAGE =
  'Check the storage of the replica on the secondary host: its log, its cables, its memory.';
const BOTH = ['primary', 'secondary'] as const;

const COPY_TEXTS: Readonly<Record<CopyWord, string>> = {
  none: 'this host has no copy that can run',
  protected: 'both copies are in step',
  leaving: "the secondary's copy is outdated; the primary is not alone yet",
  alone: "the primary's copy is the newest",
  'taken-over': 'the secondary has taken over',
  outdated: 'the copy here is outdated and may not run',
};

function otherOf(role: EventRole): EventRole {
  return role === 'primary' ? 'secondary' : 'primary';
}

/** A verdict in the log. */
const LEVELS: Readonly<Record<VerdictLevel, EventLevel>> = {
  good: 'info',
  busy: 'info',
  idle: 'info',
  warning: 'warn',
  bad: 'error',
};

/** The commands of a verdict's remedy, which has no marks around them. */
const COMMAND = /\b(run|then): (gannet \S+ \S+?(?: --\S+?)*)(?=[.;]?(?:\s|$))/g;

/** A command at the end of a verdict's remedy has no full stop, so that it can be copied. */
function sentence(remedy: string): string {
  const marked = remedy.replace(COMMAND, '$1 `$2`');
  return marked === '' || marked.endsWith('.') ? marked : `${marked}.`;
}

type Kind =
  | 'verdict'
  | 'term'
  | 'two-copies'
  | 'foreign'
  | 'held'
  | 'move'
  | 'second-copy-stopped'
  | 'protection-waits'
  | 'replica-differs'
  | 'verified'
  | 'snapshot'
  | 'snapshot-lost';

export const STANDING_EVENTS: Pick<EventTable, Kind> = {
  verdict: {
    roles: BOTH,
    level: ({ verdictLevel }) => LEVELS[verdictLevel],
    text: ({ headline }) => `verdict: ${headline}`,
    remedy: ({ remedy }) => sentence(remedy),
  },
  term: {
    roles: BOTH,
    level: ({ word }) => (word === 'outdated' || word === 'taken-over' ? 'warn' : 'info'),
    text: ({ term, word, isForced, evidence }) =>
      `term ${term}: ${COPY_TEXTS[word]}` +
      (isForced
        ? ', by --force'
        : evidence === null
          ? ''
          : ` (evidence: ${EVIDENCE_TEXTS[evidence]})`),
  },
  'two-copies': {
    roles: BOTH,
    level: 'error',
    text: ({ newest, host, term, outdatedTerm }) =>
      `two copies of the VM: the ${newest}'s on ${host} is the newest (term ${term}), ` +
      `the ${otherOf(newest)}'s is outdated (term ${outdatedTerm}) and its guest must stop`,
    remedy: ({ newest, host }, { role, vm }) =>
      newest === role
        ? `See that the guest on the ${otherOf(role)} host has stopped: ` +
          `run \`gannet status ${vm}\` there.`
        : `Leave the VM on ${host} running, the ${newest} host; ` +
          `run \`gannet status ${vm}\` there.`,
  },
  foreign: {
    roles: BOTH,
    level: 'error',
    text: ({ own, other }) =>
      `the other daemon has a copy of another VM: its lineage is ${other}, this side's ${own}`,
    remedy: (_details, { vm }) =>
      "Check `primary.peer`. If the secondary's copy is not needed any more, restart its daemon " +
      `with --overwrite, then its QEMU. Then run \`gannet protect ${vm}\` on the primary host.`,
  },
  held: {
    roles: PRIMARY,
    level: 'error',
    text: ({ reason }) => `the guest is stopped: ${reason}`,
    remedy: (_details, { vm }) =>
      'Start the daemon on the secondary host: it says whether the VM runs there. Only if it ' +
      `certainly does not, and is not to: \`gannet failover ${vm} --force\` on this host.`,
  },
  move: {
    roles: PRIMARY,
    level: ({ phase }) => (phase === 'undone' ? 'warn' : 'info'),
    text: ({ phase, to, stillMs }) => {
      if (phase === 'undone') return `the VM was not moved to ${to}: its guest runs on here`;
      if (phase === 'done') {
        const still = stillMs === undefined ? '' : `; no guest ran for ${formatMs(stillMs)}`;
        return `the VM has moved to ${to}${still}`;
      }
      return `the guest is stopped after a last checkpoint, to go on at ${to}`;
    },
    remedy: ({ phase }, { vm }) =>
      phase === 'undone'
        ? `On the secondary host, \`gannet status ${vm}\` says why it could not go on.`
        : '',
    metrics: { gannet_moves_total: ({ phase }) => ({ value: 1, labels: { phase } }) },
  },
  'replica-differs': {
    roles: PRIMARY,
    level: ({ isRepaired }) => (isRepaired ? 'warn' : 'error'),
    text: ({ disk, offset, length, isRepaired }) =>
      `the replica of ${disk} is wrong at byte ${offset}, ${length} bytes` +
      (isRepaired ? ': rewritten from the primary' : ''),
    remedy: ({ isRepaired }, { vm }) =>
      isRepaired ? CHECK_STORAGE : `${CHECK_STORAGE} Then run \`gannet verify ${vm} --repair\`.`,
  },
  verified: {
    roles: PRIMARY,
    level: ({ wrongBytes, repairedBytes, isWhole }) => {
      if (wrongBytes > repairedBytes) return 'error';
      return wrongBytes > 0 || !isWhole ? 'warn' : 'info';
    },
    text: ({ isWhole, comparedBytes, ms, wrongBytes, repairedBytes, busyBytes }) =>
      `verify: ${isWhole ? '' : 'ended early; '}${formatBytes(comparedBytes)} compared in ` +
      `${formatMs(ms)}: ${wrongBytes === 0 ? 'equal' : `${wrongBytes} bytes were wrong`}` +
      (repairedBytes > 0 ? `, ${repairedBytes} of them repaired` : '') +
      (busyBytes > 0 ? `; ${formatBytes(busyBytes)} changed too often to be compared` : ''),
  },
  snapshot: {
    roles: SECONDARY,
    level: 'info',
    text: ({ phase, epoch }) =>
      phase === 'taken'
        ? `snapshot of epoch ${epoch}: later writes do not change it`
        : `snapshot of epoch ${epoch}: dropped`,
  },
  'snapshot-lost': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ epoch, reason }) => `snapshot of epoch ${epoch}: given up: ${reason}`,
    remedy: () =>
      'A backup that was read from it is incomplete: make it again, when the guest writes less, ' +
      'or with a larger `secondary.snapshot.limit`.',
  },
  'second-copy-stopped': {
    roles: BOTH,
    level: 'error',
    text: () => 'the guest here was stopped: the other side has the newer copy of the VM',
    remedy: (_details, { role, vm }) =>
      `The VM is the one on the ${otherOf(role)} host. Leave it running; ` +
      `run \`gannet status ${vm}\` there.`,
  },
  'protection-waits': {
    roles: BOTH,
    level: ({ why }) => (why === 'failed' || why === 'too-often' ? 'warn' : 'info'),
    text: ({ why, until }) =>
      `automatic protection, not yet: ${WAIT_TEXTS[why]}` +
      (until === undefined ? '' : `; next attempt at ${formatTime(until)}`),
  },
};
