/**
 * Every verdict on a VM, and when it applies: the first whose condition holds. Most severe first,
 * so that nothing good hides something bad. No imports at run time but words and states: the web
 * page may load this file.
 */
import { hasTakenOver, isDown } from '../states.js';
import { hasVm, isGivenUp, isHeard } from './pair-facts.js';
import type { VerdictRule } from './verdict-rule.js';
import { MOVE_VERDICTS } from './verdict-table-move.js';
import {
  colon,
  failover,
  ifFailed,
  lasts,
  loss,
  onPrimary,
  onSecondary,
  other,
  protecting,
  reprotectWith,
  silent,
  startedAgain,
  toProtect,
  unfitReason,
} from './verdict-words.js';

export const VERDICTS = {
  'survivor-yields': {
    level: 'bad',
    guest: 'primary',
    meaning:
      'The secondary had taken over, and an operator let the primary run by force: the guest of ' +
      'the secondary is stopped.',
    when: ({ secondary }) => hasTakenOver(secondary.state) && secondary.isOutdated,
    say: (facts) => ({
      headline:
        `The copy on ${onSecondary(facts)} is stopped: an operator let the VM run on ` +
        onPrimary(facts),
      remedy: `End the QEMU on ${onSecondary(facts)}. Keep the primary.`,
    }),
  },
  'two-copies': {
    level: 'bad',
    guest: 'both',
    meaning: 'The secondary has taken over, and the QEMU of the primary still responds.',
    when: ({ primary, secondary }) =>
      hasTakenOver(secondary.state) && hasVm(primary) && isHeard(primary),
    say: (facts) => ({
      headline: `Two copies may run: the secondary has taken over on ${onSecondary(facts)}`,
      remedy: `End the QEMU on ${onPrimary(facts)}: its copy is the older one.`,
    }),
  },
  'survivor-down': {
    level: 'bad',
    guest: 'nowhere',
    meaning: 'The secondary has taken over, and its QEMU has ended or does not respond.',
    when: ({ secondary }) => hasTakenOver(secondary.state) && isDown(secondary.qemu),
    say: (facts) => ({
      headline:
        `The VM is DOWN: it had moved to ${onSecondary(facts)}, where its QEMU ` +
        (facts.secondary.qemu === 'lost' ? 'has ended' : 'does not respond'),
      remedy:
        facts.secondary.state === 'retired'
          ? `On ${onSecondary(facts)}, start the VM from its local disks: they are complete.`
          : `On ${onSecondary(facts)}, stop the daemon, then run: gannet recover ${facts.vm}; ` +
            'then start the VM from its local disks.',
    }),
  },
  'survivor-storage': {
    level: 'bad',
    guest: 'secondary',
    meaning: 'The secondary has taken over, and its disks do not take writes.',
    when: ({ secondary }) => secondary.state === 'failed-over' && secondary.baseTrouble !== '',
    say: (facts) => ({
      headline: `Has taken over, but its storage takes no writes: ${facts.secondary.baseTrouble}`,
      remedy: `On ${onSecondary(facts)}, repair the disk of the base; the writes are tried again.`,
    }),
  },
  moved: MOVE_VERDICTS.moved,
  moving: {
    level: 'warning',
    guest: 'secondary',
    meaning: 'The secondary has taken over and moves its guest to the local disks.',
    when: ({ secondary }) => secondary.state === 'failed-over',
    say: (facts) => ({
      headline: `The VM runs on ${onSecondary(facts)}, and moves to its local disks there`,
    }),
  },
  survivor: {
    level: 'warning',
    guest: 'secondary',
    meaning: 'The secondary has taken over. Nothing protects the VM.',
    when: ({ secondary }) => secondary.state === 'retired',
    say: (facts) => ({
      headline: `Unprotected: the VM runs on ${onSecondary(facts)}, which has taken over`,
      remedy: reprotectWith(facts),
    }),
  },
  superseded: {
    level: 'bad',
    guest: 'unknown',
    meaning: "The secondary has taken over, and the primary's guest was stopped for that.",
    when: ({ primary }) => primary.state === 'superseded',
    say: (facts) => ({
      headline: `The copy on ${onPrimary(facts)} is stopped: ${onSecondary(facts)} has taken over`,
      remedy: `End the QEMU on ${onPrimary(facts)}. Keep the secondary.`,
    }),
  },
  held: {
    level: 'bad',
    guest: 'unknown',
    meaning: 'The QEMU of the primary is new, and the secondary may have taken over.',
    when: ({ primary }) => primary.state === 'held',
    say: (facts) => ({
      headline: `The guest on ${onPrimary(facts)} is held: the secondary may have taken over`,
      remedy:
        `Start the daemon on ${onSecondary(facts)}. Only if the VM does not run there: ` +
        `on ${onPrimary(facts)}, run: gannet failover ${facts.vm} --force`,
    }),
  },
  ended: {
    level: 'idle',
    guest: 'nowhere',
    meaning: 'The VM was ended on purpose while it was protected. Nobody takes over.',
    when: ({ primary }) => primary.state === 'ended',
    say: (facts) => ({
      headline: `The VM has ended on purpose${colon(facts.primary.trouble)}`,
      remedy: `To run it again, start its QEMU on ${onPrimary(facts)}.`,
    }),
  },
  'handing-over': MOVE_VERDICTS['handing-over'],
  yielding: {
    level: 'bad',
    guest: 'nowhere',
    meaning:
      "The primary's disk or guest has failed. It is stopped; the secondary is to take over.",
    when: ({ primary }) => primary.state === 'yielding',
    say: (facts) => ({
      headline: `The guest on ${onPrimary(facts)} is stopped${colon(facts.primary.trouble)}`,
      remedy: facts.secondary.mayFailOver
        ? `Unless the secondary takes over by itself, ${failover(facts)}. ${loss(facts)}`
        : `The secondary cannot take over: ${unfitReason(facts)}. To continue the guest on the ` +
          `disk that failed, on ${onPrimary(facts)}, run: gannet detach ${facts.vm} --force`,
    }),
  },
  'stands-still': {
    level: 'bad',
    guest: 'nowhere',
    meaning:
      "The primary's own disk has failed, and nobody takes over: it may lack writes that the " +
      'guest was told are done. The guest is stopped until it is started again.',
    when: ({ primary }) => primary.standstill !== '' && primary.qemu === 'ready',
    say: (facts) => ({
      headline: `The guest on ${onPrimary(facts)} is stopped: ${facts.primary.standstill}`,
      remedy:
        `Its disk may lack what it wrote last. On ${onPrimary(facts)}, repair the storage, end ` +
        `the QEMU and start the VM again. To protect it then, restart the secondary as well; ` +
        `then, on ${onPrimary(facts)}, run: gannet protect ${facts.vm}`,
    }),
  },
  'down-take-over': {
    level: 'bad',
    guest: 'nowhere',
    meaning: 'The primary VM has ended, and the secondary can take over.',
    when: ({ primary, secondary }) =>
      primary.qemu === 'lost' && primary.state === 'protected' && secondary.mayFailOver,
    say: (facts) => ({
      headline: `The VM is DOWN: its QEMU on ${onPrimary(facts)} has ended`,
      remedy: `Take over: ${failover(facts)}. ${loss(facts)}${lasts(facts)}`,
    }),
  },
  'down-replica-unknown': {
    level: 'bad',
    guest: 'nowhere',
    meaning: 'The primary VM has ended while protected, and the secondary has not been heard.',
    when: ({ primary, secondary }) =>
      primary.qemu === 'lost' &&
      primary.state === 'protected' &&
      (secondary.knowledge === 'never' || secondary.state === 'unknown'),
    say: (facts) => ({
      headline: `The VM is DOWN: its QEMU on ${onPrimary(facts)} has ended`,
      remedy: `Ask the secondary: on ${onSecondary(facts)}, run: gannet status ${facts.vm}`,
    }),
  },
  'down-no-replica': {
    level: 'bad',
    guest: 'nowhere',
    meaning: 'The primary VM has ended while protected, and the secondary cannot take over.',
    when: ({ primary }) => primary.qemu === 'lost' && primary.state === 'protected',
    say: (facts) => ({
      headline:
        `The VM is DOWN: its QEMU on ${onPrimary(facts)} has ended, and the secondary ` +
        `cannot take over: ${unfitReason(facts)}`,
      remedy: `On ${onPrimary(facts)}, start the VM again from its own disks.`,
    }),
  },
  down: {
    level: 'bad',
    guest: 'nowhere',
    meaning: 'The VM has ended while nothing protected it.',
    when: ({ primary }) => primary.qemu === 'lost',
    say: (facts) => ({
      headline: `The VM is DOWN: its QEMU on ${onPrimary(facts)} has ended; it was not protected`,
      remedy: `On ${onPrimary(facts)}, start the VM again from its own disks.`,
    }),
  },
  hung: {
    level: 'bad',
    guest: 'unknown',
    meaning: "The primary's QEMU does not respond, or nothing proves that it has ended.",
    when: ({ primary }) => primary.qemu === 'hung',
    say: (facts) => {
      const { primary, secondary } = facts;
      const isReplica = primary.state === 'protected' && secondary.mayFailOver;
      const give = `If it stays so, stop it; then, ${failover(facts)}`;
      const look = primary.trouble || 'Check whether its QEMU process hangs or was stopped.';
      return {
        headline: `The primary VM on ${onPrimary(facts)} does not respond`,
        remedy: isReplica ? `${look} ${give}` : look,
      };
    },
  },
  'cannot-ask': {
    level: 'bad',
    guest: 'unknown',
    meaning: "The primary's QEMU cannot be asked, so it may be protected or not.",
    // A daemon that has just begun has not asked yet.
    when: ({ primary: { state, qemu, trouble }, primary }) =>
      isHeard(primary) && state === 'unknown' && (qemu !== 'awaited' || trouble !== ''),
    say: (facts) => ({
      headline: `The QEMU on ${onPrimary(facts)} cannot be asked: it may be protected or not`,
      remedy: facts.primary.trouble || 'See the QEMU at the QMP socket of the configuration.',
    }),
  },
  alone: {
    level: 'bad',
    guest: 'primary',
    meaning: 'The primary runs on without its secondary.',
    when: ({ primary }) => isHeard(primary) && primary.state === 'alone',
    say: (facts) => ({
      headline: `Unprotected: the VM runs alone on ${onPrimary(facts)}`,
      remedy: startedAgain(facts),
    }),
  },
  diverged: {
    level: 'bad',
    guest: 'unknown',
    meaning: 'The replica has diverged: it is of no use to anybody and must be copied again.',
    when: ({ primary, secondary }) => secondary.state === 'diverged' && !isGivenUp(primary),
    say: (facts) => {
      const { primary, secondary } = facts;
      const again = startedAgain(facts);
      const keep = `Keep the disks on ${onPrimary(facts)}: only they are complete.`;
      return {
        headline: `The replica on ${onSecondary(facts)} has diverged${colon(secondary.reason)}`,
        remedy: isHeard(primary) ? again : keep,
      };
    },
  },
  'secondary-down': {
    level: 'bad',
    guest: 'primary',
    meaning: "The secondary's QEMU has ended, does not respond or cannot be used.",
    when: ({ primary, secondary: { qemu } }) =>
      (isDown(qemu) || qemu === 'unusable') && !isGivenUp(primary),
    say: (facts) => ({
      headline:
        `The secondary VM on ${onSecondary(facts)} ` +
        (facts.secondary.qemu === 'lost'
          ? 'has ended'
          : facts.secondary.qemu === 'hung'
            ? 'does not respond'
            : `cannot be used${colon(facts.secondary.trouble)}`),
      remedy: startedAgain(facts),
    }),
  },
  protecting: {
    level: 'busy',
    guest: 'primary',
    meaning: 'The disks are being copied, or QEMU is entering COLO.',
    when: ({ primary, secondary }) =>
      (isHeard(primary) && primary.state === 'protecting') ||
      (isHeard(secondary) && secondary.state === 'seeding' && secondary.link === 'whole'),
    say: protecting,
  },
  'awaits-qemu': {
    level: 'idle',
    guest: 'nowhere',
    meaning: 'No QEMU has been started on the primary since its daemon began.',
    when: ({ primary }) => isHeard(primary) && primary.qemu !== 'ready',
    say: (facts) => ({
      headline: `Waiting for QEMU on ${onPrimary(facts)}`,
      remedy:
        facts.primary.trouble || 'Start QEMU with the QMP socket that the configuration names.',
    }),
  },
  unprotected: {
    level: 'idle',
    guest: 'primary',
    meaning: 'Nothing protects the VM.',
    when: ({ primary, secondary }) =>
      isHeard(primary)
        ? primary.state === 'unprotected'
        : isHeard(secondary) && secondary.state === 'seeding',
    say: (facts) => ({
      headline: isGivenUp(facts.primary)
        ? 'Not protected: an operator has ended the protection'
        : 'Not protected',
      remedy: toProtect(facts),
    }),
  },
  'replica-late': {
    level: 'warning',
    guest: 'primary',
    meaning: 'The primary counts as protected, and the secondary does not say so, or not yet.',
    when: ({ primary, secondary }) =>
      primary.state === 'protected' && isHeard(secondary) && secondary.state !== 'protected',
    say: (facts) => ({
      headline: `The secondary on ${onSecondary(facts)} is ${facts.secondary.state}`,
      remedy: `On ${onSecondary(facts)}, run: gannet status ${facts.vm}`,
    }),
  },
  'link-lost': {
    level: 'warning',
    guest: 'unknown',
    meaning: 'Writes of the primary may be missing in the replica; its last commit is complete.',
    when: ({ pulse, secondary }) => pulse !== 'lost' && secondary.link === 'lost',
    say: (facts) => {
      const { secondary } = facts;
      return {
        headline: `The primary’s link is lost${colon(secondary.linkLoss)}`,
        remedy: `${ifFailed(facts)} ${loss(facts)}${lasts(facts)}`,
      };
    },
  },
  'not-connected': {
    level: 'warning',
    guest: 'unknown',
    meaning: 'The secondary counts as protected, and no link of the primary is open.',
    when: ({ pulse, secondary }) =>
      pulse !== 'lost' &&
      isHeard(secondary) &&
      secondary.state === 'protected' &&
      secondary.link !== 'whole',
    say: (facts) => ({
      headline: 'The primary’s link is not connected',
      remedy: `${ifFailed(facts)} ${loss(facts)}`,
    }),
  },
  'peer-silent': {
    level: 'bad',
    guest: 'unknown',
    meaning: 'The other daemon does not answer: its host, its daemon or the network has failed.',
    when: ({ pulse }) => pulse === 'lost',
    say: silent,
  },
  'peer-late': {
    level: 'warning',
    guest: 'primary',
    meaning: 'The other daemon answers late.',
    when: ({ pulse }) => pulse === 'late',
    say: (facts) => ({
      headline: `The other daemon answers late: ${other(facts)}`,
      remedy: 'Check the other host, and the network or tunnel to it.',
    }),
  },
  'peer-unheard': {
    level: 'warning',
    guest: 'unknown',
    meaning: 'The other daemon has not been heard since this one began.',
    when: ({ pulse }) => pulse === 'unknown',
    say: ({ here }) => ({
      headline: `The ${here === 'primary' ? 'secondary' : 'primary'} has not been heard from yet`,
      remedy: 'Check the other host, and the network or tunnel to it.',
    }),
  },
  'base-trouble': {
    level: 'warning',
    guest: 'primary',
    meaning: 'The base image does not take writes; what it has not taken stays in memory.',
    when: ({ secondary }) => secondary.baseTrouble !== '',
    say: (facts) => ({
      headline: `The base image does not take writes: ${facts.secondary.baseTrouble}`,
      remedy: `Repair the disk of the base on ${onSecondary(facts)}; memory fills until then.`,
    }),
  },
  unfit: {
    level: 'warning',
    guest: 'primary',
    meaning: 'Both sides count as protected, and the secondary could not take over now.',
    when: ({ secondary }) => secondary.state === 'protected' && !secondary.mayFailOver,
    say: (facts) => ({
      headline: `The secondary could not take over now${colon(facts.secondary.trouble)}`,
      remedy: `On ${onPrimary(facts)}, run: gannet checkpoint ${facts.vm}`,
    }),
  },
  'term-file': {
    level: 'bad',
    guest: 'primary',
    meaning: 'This daemon cannot write its term file: what it decides now may be forgotten.',
    when: ({ termTrouble }) => termTrouble !== '',
    say: () => ({ headline: 'What this daemon decides may be forgotten' }),
  },
  protected: {
    level: 'good',
    guest: 'primary',
    meaning: 'The VM runs, and the secondary can take over.',
    when: ({ here, primary, secondary, pulse }) =>
      secondary.state === 'protected' &&
      (primary.state === 'protected' || (here === 'secondary' && pulse === 'none')),
    say: ({ here }) => ({
      headline: here === 'primary' ? 'Protected' : 'Protected: ready to take over',
    }),
  },
  disagreement: {
    level: 'warning',
    guest: 'unknown',
    meaning: 'The two daemons say different things, or one says what this one does not know.',
    when: () => true,
    say: (facts) => ({
      headline:
        `The primary says ${facts.primary.state}, ` + `the secondary ${facts.secondary.state}`,
      remedy: `Compare both: on each host, run: gannet status ${facts.vm}`,
    }),
  },
} as const satisfies Record<string, VerdictRule>;

export type VerdictCode = keyof typeof VERDICTS;
