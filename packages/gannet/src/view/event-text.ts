import type { DaemonEvent } from '@gannet/contract';
import { formatBytes, formatMs } from './format.js';

export type Level = 'error' | 'warning' | 'info' | 'detail';

export interface Words {
  readonly level: Level;
  readonly text: string;
  readonly remedy: string;
}

type Details = Readonly<Record<string, unknown>>;
type Say = readonly [Level, (event: Details) => string, ((event: Details) => string)?];

const text = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '?' : JSON.stringify(value);
const because = ({ reason }: Details): string =>
  typeof reason === 'string' && reason !== '' ? `: ${reason}` : '';
const milliseconds = (value: unknown): string => formatMs(typeof value === 'number' ? value : null);
const pages = ({ committedPages, droppedPages }: Details): string =>
  `${text(committedPages)} pages committed, ${text(droppedPages)} dropped`;
const CAUSES: Readonly<Record<string, string>> = {
  period: 'in its period',
  demand: 'on demand',
  memory: 'for want of memory',
  output: 'since the guests’ outputs differed',
};

const KINDS: Readonly<Record<string, Say>> = {
  listening: ['info', ({ exports }) => `serves ${[exports].flat().map(text).join(', ')} over NBD`],
  web: ['info', ({ address }) => `web page and metrics at ${text(address)}`],
  protected: ['info', ({ found }) => (found ? 'found its VM protected' : 'the VM is protected')],
  unprotected: [
    'warning',
    (event) => `the VM is not protected${because(event)}`,
    () => 'gannet protect',
  ],
  'stage-done': ['info', ({ stage }) => `protect: stage “${text(stage)}” is done`],
  'secondary-lost': ['warning', (event) => `the secondary is lost${because(event)}`],
  alone: [
    'warning',
    (event) => `the primary runs on alone${because(event)}`,
    ({ secondaryKnows }) =>
      secondaryKnows === false
        ? 'Its secondary has not heard of it: make sure that it never takes over. Then reprotect.'
        : 'Start a new secondary, then `gannet reprotect`.',
  ],
  'seed-link-lost': ['warning', ({ device }) => `the copy of ${text(device)} has lost its link`],
  'seed-link-back': ['info', ({ device }) => `the copy of ${text(device)} goes on`],
  commit: [
    'detail',
    (event) =>
      `epoch ${text(event['epoch'])}: ${pages(event)}, gate closed ${milliseconds(event['gateClosedMs'])}`,
  ],
  checkpoint: [
    'detail',
    (event) =>
      `checkpoint ${text(event['epoch'])} ${CAUSES[text(event['cause'])] ?? ''}: guest paused ${milliseconds(event['pausedMs'])}`,
  ],
  abort: ['detail', () => 'a stop and a cont that were no checkpoint'],
  doubt: ['warning', (event) => `in doubt whether there was a checkpoint${because(event)}`],
  diverged: [
    'error',
    (event) => `the replica has diverged${because(event)}`,
    () => 'Restart the secondary’s daemon, then its QEMU with -incoming; then `gannet protect`.',
  ],
  state: [
    'info',
    (event) => `replica: ${text(event['from'])} → ${text(event['to'])}${because(event)}`,
  ],
  'link-lost': [
    'warning',
    (event) => `the primary’s link to the replica is lost${because(event)}`,
    () => 'The last commit is safe. If the primary is dead, `gannet failover` here.',
  ],
  'memory-pressure': [
    'warning',
    ({ usedBytes, softBytes }) =>
      `buffers of ${formatBytes(Number(usedBytes))} pass the soft limit of ${formatBytes(Number(softBytes))}: a checkpoint is asked for`,
  ],
  failover: [
    'info',
    (event) => `the secondary VM has taken over with epoch ${text(event['epoch'])}`,
  ],
  'failover-begins': ['warning', ({ evidence }) => `takes over: ${text(evidence)}`],
  'failover-durable': ['info', () => 'the failover is on stable storage'],
  'first-write': ['info', () => 'the guest’s first write after the failover'],
  'moved-to-local': ['info', () => 'the guest runs on its local disks'],
  'failover-done': [
    'warning',
    ({ takenOverMs, movedMs }) =>
      `failover done: took over in ${milliseconds(takenOverMs)}, on local disks after ${milliseconds(movedMs)}`,
    () => 'Nothing protects it now: start a new secondary, then `gannet reprotect`.',
  ],
  fence: [
    'warning',
    ({ target, succeeded, words }) =>
      `the ${text(target)} is ${succeeded === true ? '' : 'NOT '}fenced${words ? `: ${text(words)}` : ''}`,
  ],
  'colo-exit': ['warning', (event) => `COLO has ended${because(event)}`],
  leaving: ['warning', () => 'this secondary is ending, and tells its primary'],
  'write-back': ['detail', () => 'committed epochs are in the base'],
  reloaded: ['info', ({ changed }) => `configuration read again; changed: ${list(changed)}`],
  'needs-restart': ['warning', ({ keys }) => `changed, and needs a restart: ${list(keys)}`],
  role: ['info', ({ reason }) => text(reason)],
  'network-open': ['info', () => 'the guest’s packets go out: its connections live on'],
  spill: [
    'warning',
    ({ trouble }) =>
      trouble === undefined
        ? 'pages can be spilled again'
        : `nothing more can be spilled: ${text(trouble)}`,
  ],
  flush: [
    'warning',
    ({ trouble }) =>
      trouble === undefined
        ? 'what the guest flushes is durable again'
        : `the guest’s flushes wait: ${text(trouble)}`,
  ],
  'taken-back': ['info', (event) => `what was done to the VM is taken back${because(event)}`],
  strangers: [
    'warning',
    ({ count, address, reason }) =>
      `${text(count)} turned away, the last from ${text(address)}: ${text(reason)}`,
  ],
  plaintext: [
    'warning',
    ({ keys, danger }) => `${list(keys)} without TLS beyond loopback: ${text(danger)}`,
    () => 'Give `tls` and tls:HOST:PORT, or use a tunnel.',
  ],
};

function list(value: unknown): string {
  const items = [value].flat().map(text);
  return items.length > 0 ? items.join(', ') : 'nothing';
}

/** An event of a daemon, in words, and what to do about it. */
export function wordsOf(event: DaemonEvent): Words {
  const { kind } = event;
  if (kind === 'vm') return ownVm(event);
  if (kind === 'peer') return peer(event);
  if (typeof event['message'] === 'string') {
    const { message, remedy } = event;
    return {
      level: 'error',
      text: text(message),
      remedy: typeof remedy === 'string' ? remedy : '',
    };
  }
  const say = KINDS[kind];
  if (say) return { level: say[0], text: say[1](event), remedy: say[2]?.(event) ?? '' };
  const rest = Object.fromEntries(
    Object.entries(event).filter(([key]) => !['at', 'role', 'kind'].includes(key)),
  );
  return { level: 'info', text: `${kind} ${JSON.stringify(rest)}`, remedy: '' };
}

const VM_REMEDIES: Readonly<Record<string, string>> = {
  hung: 'See what its process waits for: QMP does not answer.',
};

function ownVm(event: DaemonEvent): Words {
  const { role, state } = event;
  const what: Readonly<Record<string, string>> = {
    ...{ ready: 'answers', awaited: 'is awaited', hung: 'hangs', lost: 'has ended' },
  };
  const isBad = state === 'hung' || state === 'lost';
  const words = `the ${role} VM ${what[text(state)] ?? text(state)}${because(event)}`;
  return { level: isBad ? 'error' : 'info', text: words, remedy: VM_REMEDIES[text(state)] ?? '' };
}

const PULSES: Readonly<Record<string, readonly [Level, string]>> = {
  up: ['info', 'is heard'],
  late: ['warning', 'is late'],
  lost: ['error', 'is silent'],
};

function peer(event: DaemonEvent): Words {
  const other = event.role === 'primary' ? 'secondary' : 'primary';
  const { pulse, refused, notice, vm, state, link, silentMs } = event;
  if (refused !== undefined) {
    const words = `a peer was refused: ${text(refused)}`;
    return { level: 'warning', text: words, remedy: 'See `peer` of both configurations.' };
  }
  if (pulse !== undefined) {
    const [level, words] = PULSES[text(pulse)] ?? ['info', text(pulse)];
    const since = Number(silentMs) > 0 ? ` since ${milliseconds(silentMs)}` : '';
    const remedy = level === 'error' ? 'See that host, and the tunnel or network between.' : '';
    return { level, text: `the ${other}’s daemon ${words}${since}`, remedy };
  }
  if (notice !== undefined) {
    return { level: 'warning', text: `the ${other} says: ${text(notice)}`, remedy: '' };
  }
  const level = vm === 'lost' || vm === 'hung' || state === 'diverged' ? 'warning' : 'info';
  const itsLink = link === undefined || link === 'none' ? '' : `, link ${text(link)}`;
  return {
    level,
    text: `the ${other} is ${text(state)}, its VM ${text(vm)}${itsLink}`,
    remedy: '',
  };
}
