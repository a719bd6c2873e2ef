/**
 * What each kind of event means: how important it is, what people read, what they should do, and
 * what it counts in the metrics. The log, `gannet events`, `gannet watch`, the web page, the
 * metrics and docs/reference/events.md all read this one table. details.ts has the details as
 * schemas; they are types here, because the web page loads this file too.
 */
import type { EventTable } from './meaning.js';
import { formatBytes, formatMs } from '../format.js';
import {
  EVIDENCE_LABELS,
  PULSE_LEVELS,
  takeOver,
  protectAgain,
  reprotect,
  otherOf,
  listed,
  plural,
  inBytes,
  inSeconds,
} from './words.js';
import {
  type CheckpointCause,
  COPY_KIND_TEXTS,
  DISK_EFFECT_TEXTS,
  isDown,
  OPERATOR_REASONS,
  QEMU_TEXTS,
} from '../states.js';
import { STANDING_EVENTS } from './table-standing.js';

const PRIMARY = ['primary'] as const;
const SECONDARY = ['secondary'] as const;
const BOTH = ['primary', 'secondary'] as const;

/** The causes of a checkpoint, in words that follow "checkpoint 7". */
export const CAUSE_TEXTS: Readonly<Record<CheckpointCause, string>> = {
  period: 'at the end of its period',
  demand: 'on demand',
  memory: 'because memory ran short',
  output: 'because the guests sent different packets',
};

export const EVENTS: EventTable = {
  // The daemon itself.
  listening: {
    roles: SECONDARY,
    level: 'info',
    text: ({ exports }) => `NBD exports: ${listed(exports)}`,
  },
  web: {
    roles: BOTH,
    level: 'info',
    text: ({ address }) => `web page and metrics: ${address}`,
  },
  plaintext: {
    roles: BOTH,
    level: 'warn',
    text: ({ keys, danger }) => `no TLS: ${listed(keys)}: ${danger}`,
    remedy: () => 'Set `tls` and use tls:HOST:PORT in the configurations of both hosts.',
  },
  reloaded: {
    roles: BOTH,
    level: 'info',
    text: ({ changed }) => `configuration reloaded; changed: ${listed(changed)}`,
  },
  'needs-restart': {
    roles: BOTH,
    level: 'warn',
    text: ({ keys }) => `configuration: these changes need a restart: ${listed(keys)}`,
    remedy: (_details, { role }) => `On this host, restart the ${role}'s daemon.`,
  },
  'not-reloaded': {
    roles: BOTH,
    level: 'error',
    text: ({ message }) => `configuration not reloaded: ${message}`,
    remedy: ({ remedy }) => remedy,
  },
  role: {
    roles: PRIMARY,
    level: 'info',
    text: ({ reason }) => reason,
  },
  command: {
    roles: BOTH,
    level: ({ phase }) => (phase === 'failed' ? 'warn' : 'info'),
    text: ({ name, phase, actor, ms = 0, message = '' }) => {
      if (phase === 'begins') return `command ${name}: begins, by ${actor}`;
      const after = `after ${formatMs(ms)}`;
      return `command ${name}: ${phase} ${after}${phase === 'failed' ? `: ${message}` : ''}`;
    },
  },
  trouble: {
    roles: BOTH,
    level: 'error',
    text: ({ message, attempt }) =>
      attempt === undefined ? message : `${message} (attempt ${attempt})`,
    remedy: ({ remedy }) => remedy,
  },
  strangers: {
    roles: BOTH,
    level: 'warn',
    text: ({ count, address, reason }) =>
      `${plural(count, 'connection')} rejected, the last from ${address}: ${reason}`,
  },

  // The two VMs and the other daemon.
  vm: {
    roles: BOTH,
    level: ({ state }) => (isDown(state) ? 'error' : 'info'),
    text: ({ state, reason }, { role }) =>
      `${role} VM: QEMU ${QEMU_TEXTS[state]}${state === 'ready' ? '' : ` (${reason})`}`,
    remedy: ({ state }, { role, vm }) => {
      if (state === 'hung') return 'On this host, check what the QEMU process waits for.';
      if (state !== 'lost' || role !== 'primary') return '';
      return (
        'If it was protected and nobody ended it on purpose, ' +
        `run \`gannet failover ${vm}\` on the secondary host.`
      );
    },
  },
  peer: {
    roles: BOTH,
    level: ({ pulse, isLeaving, vm, state }) => {
      if (pulse !== undefined) return PULSE_LEVELS[pulse];
      return isLeaving === true || isDown(vm) || state === 'diverged' ? 'warn' : 'info';
    },
    text: (details, { role }) => {
      const other = otherOf(role);
      const { pulse, silentMs, isLeaving, vm, state, link = 'none' } = details;
      if (pulse === 'up') return `${other}'s daemon: connected`;
      if (pulse !== undefined) {
        return `${other}'s daemon: no heartbeat${silentMs > 0 ? ` for ${formatMs(silentMs)}` : ''}`;
      }
      if (isLeaving === true) return `${other}'s daemon: stopping`;
      const writes = { none: '', whole: ', replication connected', lost: ', replication lost' };
      return `${other}: ${state}, QEMU ${QEMU_TEXTS[vm]}${writes[link]}`;
    },
    remedy: ({ pulse }, { role }) =>
      pulse === 'lost'
        ? `Check the ${otherOf(role)} host, and the network or tunnel between the hosts.`
        : '',
    metrics: {
      gannet_link_lost_total: ({ pulse }) =>
        pulse === 'lost' ? { value: 1, labels: { link: 'peer' } } : undefined,
    },
  },

  // Protecting, and its end.
  protected: {
    roles: PRIMARY,
    level: 'info',
    text: ({ found }) =>
      found === undefined ? 'the VM is protected' : 'the VM is still protected, as before',
  },
  unprotected: {
    roles: PRIMARY,
    level: 'warn',
    text: ({ reason }) => `the VM is not protected: ${reason}`,
    remedy: (_details, origin) => protectAgain(origin),
  },
  'stage-done': {
    roles: PRIMARY,
    level: 'info',
    text: ({ stage }) => `protect: ${stage}: done`,
  },
  'copy-begins': {
    roles: PRIMARY,
    level: 'info',
    text: ({ how, reason }) => `copying ${COPY_KIND_TEXTS[how]}: ${reason}`,
  },
  resynced: {
    roles: PRIMARY,
    level: 'info',
    text: (of) => `${formatBytes(of.copiedBytes)} of ${formatBytes(of.totalBytes)} were copied`,
  },
  'seed-link-lost': {
    roles: PRIMARY,
    level: 'warn',
    text: ({ device }) => `first copy of ${device}: connection lost, waiting for a new one`,
    remedy: () => 'Check the secondary host, and the network or tunnel between the hosts.',
    metrics: { gannet_link_lost_total: () => ({ value: 1, labels: { link: 'seed' } }) },
  },
  'seed-link-back': {
    roles: PRIMARY,
    level: 'info',
    text: ({ device }) => `first copy of ${device}: continues`,
  },
  'secondary-lost': {
    roles: PRIMARY,
    level: 'warn',
    text: ({ reason }) => `the secondary is lost: ${reason}`,
  },
  alone: {
    roles: PRIMARY,
    level: 'warn',
    text: ({ reason }) => `the primary runs alone, without protection: ${reason}`,
    remedy: ({ secondaryKnows }, origin) => {
      const unsure = 'The secondary did not confirm this: make sure that it never takes over. ';
      return `${secondaryKnows ? '' : unsure}${protectAgain(origin)}`;
    },
    metrics: {
      gannet_failover_total: ({ reason }) => {
        const isAsked = Object.values<string>(OPERATOR_REASONS).includes(reason);
        return { value: 1, labels: { reason: isAsked ? 'operator' : 'secondary-lost' } };
      },
    },
  },
  'disk-failed': {
    roles: PRIMARY,
    level: ({ effect }) => (effect === 'read-elsewhere' ? 'warn' : 'error'),
    text: ({ reason, effect }) =>
      `this host's own disk failed: ${reason}${DISK_EFFECT_TEXTS[effect]}`,
    remedy: ({ device }) => `Check the storage of ${device} on this host.`,
    metrics: {
      gannet_own_disk_errors_total: ({ effect }) => ({ value: 1, labels: { effect } }),
    },
  },
  yielding: {
    roles: PRIMARY,
    level: 'error',
    text: ({ reason }) => `the guest is stopped, so that the secondary takes over: ${reason}`,
    remedy: (_details, { vm }) =>
      'With `failover: automatic` the secondary takes over by itself; otherwise run ' +
      `\`gannet failover ${vm}\` on the secondary host. Do not continue the guest here.`,
  },
  'guest-ended': {
    roles: PRIMARY,
    level: 'warn',
    text: ({ reason }) =>
      `the VM has ended on purpose (${reason}): the secondary does not take over`,
    remedy: (_details, { vm }) =>
      'To run it again, start its QEMU on this host. Then restart the daemon and QEMU of the ' +
      `secondary, and run \`gannet protect ${vm}\` here.`,
  },
  'guest-woken': {
    roles: PRIMARY,
    level: 'warn',
    text: () => 'the guest suspended to memory; it was woken, because checkpoints would break it',
    remedy: () =>
      'Disable suspend: `-global PIIX4_PM.disable_s3=1` (q35: `ICH9-LPC.disable_s3=1`).',
  },
  ...STANDING_EVENTS,
  fence: {
    roles: BOTH,
    level: ({ succeeded }) => (succeeded ? 'warn' : 'error'),
    text: ({ target, succeeded, words }) =>
      `fence command for the ${target} ${succeeded ? 'succeeded' : 'FAILED'}: ${words}`,
    remedy: ({ succeeded, target }, { role, vm }) =>
      succeeded
        ? ''
        : `Make sure that the ${target}'s QEMU does not run. ` +
          `Then run \`gannet failover ${vm} --force\` on this host, the ${role}'s.`,
    metrics: {
      gannet_fence_runs_total: ({ succeeded }) => ({
        value: 1,
        labels: { result: succeeded ? 'succeeded' : 'failed' },
      }),
    },
  },
  'taken-back': {
    roles: PRIMARY,
    level: 'info',
    text: ({ reason }) => `QEMU restored to its state before protection: ${reason}`,
  },

  // Checkpoints.
  checkpoint: {
    roles: BOTH,
    level: 'debug',
    isRoutine: true,
    text: ({ epoch, cause, pausedMs }) =>
      `checkpoint ${epoch} ${CAUSE_TEXTS[cause]}: guest paused ${formatMs(pausedMs)}`,
    // The secondary repeats what the primary reported: it counts there.
    metrics: {
      gannet_checkpoint_duration_seconds: ({ pausedMs }, role) =>
        role === 'primary' ? inSeconds(pausedMs) : undefined,
      gannet_checkpoints_total: ({ cause }, role) =>
        role === 'primary' ? { value: 1, labels: { cause } } : undefined,
    },
  },
  commit: {
    roles: SECONDARY,
    level: 'debug',
    isRoutine: true,
    text: ({ epoch, gateClosedMs, committedPages, droppedPages }) =>
      `epoch ${epoch} committed: ${plural(committedPages, 'page')} changed, ` +
      `${droppedPages} dropped, gate closed ${formatMs(gateClosedMs)}`,
    metrics: {
      gannet_gate_closed_seconds: ({ gateClosedMs }) => inSeconds(gateClosedMs),
      gannet_checkpoint_duration_seconds: ({ checkpointMs }) => inSeconds(checkpointMs),
      gannet_committed_bytes_total: ({ committedPages }) => inBytes(committedPages),
      gannet_dropped_bytes_total: ({ droppedPages }) => inBytes(droppedPages),
    },
  },
  abort: {
    roles: SECONDARY,
    level: 'debug',
    isRoutine: true,
    text: ({ gateClosedMs }) =>
      'secondary VM: stopped and resumed without a checkpoint, ' +
      `gate closed ${formatMs(gateClosedMs)}`,
  },
  doubt: {
    roles: SECONDARY,
    level: 'warn',
    text: ({ reason }) =>
      `cannot tell whether the last stop was a checkpoint (${reason}): ` +
      'the replica cannot take over until the next commit',
  },
  'write-back': {
    roles: SECONDARY,
    level: 'debug',
    isRoutine: true,
    text: ({ epochs, bytes, ms }) =>
      `write-back: ${plural(epochs.length, 'epoch')}, ${formatBytes(bytes)} in ${formatMs(ms)}`,
  },

  // The replica.
  state: {
    roles: SECONDARY,
    level: 'info',
    text: ({ from, to, reason }) => `replica: ${from} → ${to}: ${reason}`,
  },
  diverged: {
    roles: SECONDARY,
    level: 'error',
    text: ({ reason }) => `the replica has diverged and cannot take over: ${reason}`,
    remedy: (_details, { vm }) =>
      "On this host, restart the secondary's daemon, then its QEMU with -incoming, " +
      'or -S for vsmr. ' +
      `Then run \`gannet protect ${vm}\` on the primary host.`,
  },
  'link-lost': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ reason }) => `replication: lost (${reason})`,
    remedy: (_details, { vm }) => `The last commit is safe. ${takeOver(vm)}`,
    metrics: { gannet_link_lost_total: () => ({ value: 1, labels: { link: 'replica' } }) },
  },
  'memory-pressure': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ usedBytes, softBytes }) =>
      `buffers hold ${formatBytes(usedBytes)}, ` +
      `above the soft limit of ${formatBytes(softBytes)}: checkpoint requested`,
  },
  'writes-held': {
    roles: SECONDARY,
    level: 'error',
    text: ({ usedBytes, hardBytes }) =>
      `buffers hold ${formatBytes(usedBytes)}, ` +
      `above the hard limit of ${formatBytes(hardBytes)}: ` +
      'the secondary VM is stopped until a failover; nothing is lost',
    remedy: (_details, { vm }) => takeOver(vm),
  },
  'last-commit-kept': {
    roles: SECONDARY,
    level: 'info',
    text: ({ epoch }) => `the base images hold the last commit, epoch ${epoch}`,
  },
  'copy-left': {
    roles: SECONDARY,
    level: 'error',
    text: ({ epoch }) =>
      'the daemon is stopping while its VM waits for a failover: the memory of the VM is lost, ' +
      `and the disks as of epoch ${epoch} are in the base images`,
    remedy: (_details, { vm }) =>
      `If the primary is gone for good, run \`gannet recover ${vm} --last-commit\` on this host, ` +
      'then boot the VM from them.',
  },
  spill: {
    roles: SECONDARY,
    level: ({ trouble }) => (trouble === undefined ? 'info' : 'warn'),
    text: ({ trouble }) =>
      trouble === undefined ? 'spill file: works again' : `spill file: failed: ${trouble}`,
    remedy: ({ trouble }) =>
      trouble === undefined
        ? ''
        : 'On this host, free space in `secondary.memory.spillDirectory` or repair its disk.',
  },
  flush: {
    roles: SECONDARY,
    level: ({ trouble }) => (trouble === undefined ? 'info' : 'warn'),
    text: ({ trouble }) =>
      trouble === undefined
        ? 'guest flushes are durable again'
        : `guest flushes wait for storage: ${trouble}`,
    remedy: ({ trouble }) =>
      trouble === undefined
        ? ''
        : 'On this host, repair the disk of the journal or the base images, or free space there.',
  },
  'colo-exit': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ reason }) => `COLO has ended in the secondary's QEMU: ${reason}`,
  },
  leaving: {
    roles: SECONDARY,
    level: 'warn',
    text: () => "the secondary's daemon is stopping: the primary continues alone",
  },

  // A failover.
  'failover-begins': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ evidence }) => `failover begins: ${evidence}`,
  },
  failover: {
    roles: SECONDARY,
    level: 'info',
    text: ({ epoch, gateClosedMs }) =>
      `the secondary VM has taken over with epoch ${epoch}: gate closed ${formatMs(gateClosedMs)}`,
  },
  'network-open': {
    roles: SECONDARY,
    level: 'info',
    text: () => "network open: the guest's packets go out through this host",
  },
  'first-write': {
    roles: SECONDARY,
    level: 'info',
    text: () => "the guest's first write after the failover",
  },
  'failover-durable': {
    roles: SECONDARY,
    level: 'info',
    text: () => 'the failover is on stable storage',
  },
  'moved-to-local': {
    roles: SECONDARY,
    level: 'info',
    text: () => 'the guest uses its local disks',
  },
  'failover-done': {
    roles: SECONDARY,
    level: 'warn',
    text: ({ takenOverMs, movedMs }) =>
      `failover done: VM running after ${formatMs(takenOverMs)}, ` +
      `on local disks after ${formatMs(movedMs)}`,
    remedy: (_details, origin) => `Nothing protects the VM now. ${reprotect(origin)}`,
    metrics: {
      gannet_failover_total: ({ evidence }) => ({
        value: 1,
        labels: { reason: EVIDENCE_LABELS[evidence] },
      }),
    },
  },
};
