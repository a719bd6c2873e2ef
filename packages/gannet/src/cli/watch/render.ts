/** A daemon's status and events as lines of plain ASCII: a terminal of any kind shows them. */
import type { Status, TermRecord } from '@gannet/contract';
import type { Fold } from './event-filter.js';
import { type DaemonEvent, describeEvent, type EventLevel } from '@gannet/contract/events';
import {
  formatAge,
  formatBytes,
  formatMoment,
  formatMs,
  formatPercent,
  formatTime,
} from '@gannet/contract/format';
import { EVIDENCE_TEXTS, hasTakenOver, QEMU_TEXTS } from '@gannet/contract/states';
import { type Buffers, overviewOf, type Seed, type Side, spillWords } from '../../view/overview.js';
import { type Checkpoint, checkpointsOf } from '../../view/checkpoints.js';
import { wrap } from '../terminal.js';

export interface Style {
  readonly columns: number;
  /** Lines that there is room for; the events get what is left of them. */
  readonly rows: number;
  readonly hasColour: boolean;
}

const LABEL_CELLS = 12;
/** Where the text of a row begins. */
const TEXT_AT = 2 + LABEL_CELLS;
const MARK_CELLS = 5;
const EVENT_TEXT_AT = 12;
/** Width of the table of checkpoints. */
const TABLE_CELLS = 73;
const BAR_CELLS_MAX = 40;
const CHECKPOINTS_MAX = 6;
/** Of each level: its mark, and the number of its colour on a terminal. */
export const LEVEL_MARKS: Readonly<
  Record<Status['health']['level'], readonly [mark: string, colour: number]>
> = {
  good: ['[ok]', 32],
  busy: ['[..]', 36],
  idle: ['[--]', 0],
  warning: ['[! ]', 33],
  bad: ['[!!]', 31],
};
const EVENT_MARKS: Readonly<Record<EventLevel, string>> = {
  ...{ error: '!!', warn: '! ', info: '  ', debug: '. ' },
};
/** What else the words have. */
const ASCII: Readonly<Record<string, string>> = {
  ...{ '’': "'", '“': '"', '”': '"', '→': '->', '–': '-', '…': '...' },
};

/** For `gannet status`: everything but events. */
export function renderStatus(status: Status, style: Style, nowMs = Date.now()): string[] {
  const { role, vm, host } = status;
  const { level, headline, remedy, since } = status.health;
  const [mark, colour] = LEVEL_MARKS[level];
  const [moment, age] = [formatMoment(since, nowMs), formatAge(nowMs - Date.parse(since))];
  const paint = (text: string): string =>
    style.hasColour ? `\u001b[1;${colour}m${text}\u001b[0m` : text;
  const lines = [
    ...fit(`${vm}: ${role} on ${host}`, style),
    ...fit(`${mark} ${headline}`, style, MARK_CELLS).map(paint),
    ...fit(`${' '.repeat(MARK_CELLS)}Since ${moment}, ${age} ago.`, style, MARK_CELLS),
    ...(remedy === '' ? [] : fit(' '.repeat(MARK_CELLS) + remedy, style, MARK_CELLS)),
    '',
  ];
  return [...lines, ...body(status, style).flatMap((line) => fit(line, style, TEXT_AT))];
}

/** For `gannet watch`: the status, the latest checkpoints, and the events that still fit. */
export function renderWatch(
  status: Status,
  events: readonly DaemonEvent[],
  style: Style,
  nowMs: number,
): string[] {
  const checkpoints = checkpointsOf(events, CHECKPOINTS_MAX).reverse();
  const head = [...renderStatus(status, style, nowMs), '', ...table(checkpoints, nowMs, style), ''];
  const foot = 'Ctrl-C quits. This view does not affect the VM.';
  const room = Math.max(0, style.rows - head.length - 2);
  const told = events
    .filter((event) => describeEvent(event).level !== 'debug')
    .flatMap((event) => renderEvent(event, status.vm, undefined, style.columns))
    .slice(-room);
  const lines = [...head, ...(room > 0 ? told : [])].slice(0, style.rows - 1);
  return [...lines, plain(foot).slice(0, style.columns)];
}

/**
 * Time, mark and text; the remedy below them.
 *
 * @param nowMs an event of another day has its date
 */
export function renderEvent(
  event: DaemonEvent,
  vm: string,
  nowMs?: number,
  columns = Infinity,
): string[] {
  const { level, text, remedy } = describeEvent(event, vm);
  const line = `${formatMoment(event.at, nowMs)} ${EVENT_MARKS[level]} ${text}`;
  const lines = remedy === '' ? [line] : [line, ' '.repeat(EVENT_TEXT_AT) + remedy];
  return lines.flatMap((one) => wrap(plain(one), columns, EVENT_TEXT_AT));
}

/** What comes with every checkpoint, in one line. */
export function renderFold(
  { first, last, events }: Fold,
  nowMs: number,
  columns = Infinity,
): string[] {
  const [from, to] = [first, last].map((event) => ('epoch' in event ? event.epoch : undefined));
  const epochs = from === to ? `epoch ${from}` : `epochs ${from} to ${to}`;
  const which = from === undefined || to === undefined ? '' : `, ${epochs}`;
  const count = events === 1 ? '1 event' : `${events} events`;
  const text = `until ${formatTime(last.at)}: ${count} of checkpoints${which}`;
  const line = `${formatMoment(first.at, nowMs)} .  ${text}`;
  return wrap(plain(line), columns, EVENT_TEXT_AT);
}

/** The state in one line, for output that is not a terminal. */
export function renderLine(status: Status): string {
  const { buffers, pulse, silentMs, seed } = overviewOf(status);
  const parts = [
    status.health.headline,
    `epoch ${status.epoch}`,
    buffers ? `memory ${formatBytes(used(buffers))} of ${formatBytes(buffers.hardBytes)}` : '',
    seed ? `copied ${formatPercent(seed.doneBytes, seed.totalBytes)}` : '',
    `peer ${pulse}${silentMs === undefined ? '' : ` ${formatAge(silentMs)} ago`}`,
  ];
  return plain(`${status.role} ${status.state}: ${parts.filter((part) => part !== '').join(', ')}`);
}

function body(status: Status, style: Style): string[] {
  const { primary, secondary, link, pulse, silentMs, mayFailOver, buffers, waiting, seed } =
    overviewOf(status);
  const heartbeat = silentMs === undefined ? 'none yet' : `${pulse}, ${formatAge(silentMs)} ago`;
  const fit = mayFailOver === true ? ', fit to take over' : ', not fit to take over';
  const isFit = mayFailOver === undefined || hasTakenOver(secondary.state) ? '' : fit;
  // What a silent daemon said last must not look like what is known now.
  const isStale = pulse === 'lost' && silentMs !== undefined;
  const ago = isStale ? `, when last heard ${formatAge(silentMs)} ago` : '';
  const [ofPrimary, ofSecondary] = status.role === 'primary' ? ['', ago] : [ago, ''];
  const lines = [
    row('primary', `${side(primary)}${ofPrimary}`),
    row('secondary', `${side(secondary)}${isFit}${ofSecondary}`),
    row('link', `replication: ${link}${ofSecondary}; heartbeat: ${heartbeat}`),
    row('epoch', `${status.epoch}${last(status)}`),
    row('term', terms(status)),
    ...policy(secondary).map((text) => row('failover', text)),
  ];
  for (const card of [...primary.network, ...secondary.network]) lines.push(row('network', card));
  if (buffers) lines.push(...memory(buffers, style));
  if (waiting !== undefined) lines.push(row('', waiting));
  if (status.role === 'secondary') {
    for (const { name, backlogBytes, epochsToWriteBack } of status.disks) {
      lines.push(
        row(
          'write-back',
          `${name}: ${formatBytes(backlogBytes)} in ${epochsToWriteBack} epochs left`,
        ),
      );
    }
  }
  if (seed) lines.push(copy(seed, style));
  return lines;
}

/** Who decides on a takeover; once there was one, it is past. */
function policy({ state, about }: Side): string[] {
  if (about?.failover === undefined || hasTakenOver(state)) return [];
  const fence = about.hasFence ? 'with a fence' : 'without a fence';
  return [`${about.failover}, ${fence}`];
}

/** What both sides have on their disks. */
function terms({ record, peer }: Status): string {
  const say = ({ term, word, isForced, evidence }: TermRecord): string => {
    const why = isForced
      ? ', forced'
      : evidence === null
        ? ''
        : `, evidence: ${EVIDENCE_TEXTS[evidence]}`;
    return `${term} ${word}${why}`;
  };
  return `${say(record)}; the other side: ${peer.status ? say(peer.status.record) : 'unknown'}`;
}

function last(status: Status): string {
  const { lastCheckpoint } = status;
  if (!lastCheckpoint) return '';
  const { epoch, committedPages, droppedPages, gateClosedMs } = lastCheckpoint;
  const pause =
    'pausedMs' in lastCheckpoint
      ? `guest paused ${formatMs(lastCheckpoint.pausedMs)}`
      : `checkpoint took ${formatMs(lastCheckpoint.checkpointMs)}`;
  const gate = `gate closed ${formatMs(gateClosedMs)}`;
  // A takeover, or a new protection, counts on without that checkpoint.
  const which = epoch === status.epoch ? '' : `; the last checkpoint, of ${epoch}`;
  return `${which}: ${pause}, ${gate}, ${committedPages} pages committed, ${droppedPages} dropped`;
}

/** States whose word alone does not say what the side does. */
const STATE_TEXTS: Partial<Record<Side['state'], string>> = {
  seeding: 'no complete copy yet (seeding)',
  'failed-over': 'has taken over (failed-over)',
  retired: 'has taken over (retired)',
};

function side({ host, state, vm, isHere, trouble }: Side): string {
  if (host === '' && state === 'unknown') return 'not heard yet';
  const where = host === '' ? 'host unknown' : `${host}${isHere ? ' (here)' : ''}`;
  const what = `${STATE_TEXTS[state] ?? state}, QEMU ${QEMU_TEXTS[vm]}`;
  return `${where}: ${what}${trouble === '' ? '' : ` - ${trouble}`}`;
}

const used = ({ primary, secondary, committed }: Buffers): number =>
  primary + secondary + committed;

/** `#` the open epoch, `s` the secondary's own, `c` committed, `|` the soft limit. */
function memory(buffers: Buffers, style: Style): string[] {
  const { primary, secondary, committed, softBytes, hardBytes } = buffers;
  const cells = barCells(style);
  const spilled = spillWords(buffers);
  const share = (bytes: number): number =>
    bytes > 0 ? Math.max(1, Math.round((cells * bytes) / hardBytes)) : 0;
  const filled =
    '#'.repeat(share(primary)) + 's'.repeat(share(secondary)) + 'c'.repeat(share(committed));
  const bar = filled.slice(0, cells).padEnd(cells, '.').split('');
  bar[Math.min(cells - 1, Math.round((cells * softBytes) / hardBytes))] = '|';
  const parts = [
    `# ${formatBytes(primary)} open`,
    `s ${formatBytes(secondary)} of the secondary`,
    `c ${formatBytes(committed)} committed`,
    `| soft limit ${formatBytes(softBytes)}`,
  ].join(', ');
  return [
    row('memory', `[${bar.join('')}] ${formatBytes(used(buffers))} of ${formatBytes(hardBytes)}`),
    row('', parts),
    ...(spilled === undefined ? [] : [row('spilled', spilled)]),
  ];
}

function copy({ doneBytes, totalBytes, bytesPerSec, secondsLeft }: Seed, style: Style): string {
  const cells = barCells(style);
  const filled = totalBytes > 0 ? Math.min(cells, Math.floor((cells * doneBytes) / totalBytes)) : 0;
  const bar = '#'.repeat(filled).padEnd(cells, '.');
  const left = secondsLeft === null ? '' : `, ${formatAge(1000 * secondsLeft)} left`;
  const share = `${formatPercent(doneBytes, totalBytes)} of ${formatBytes(totalBytes)}`;
  return row('first copy', `[${bar}] ${share}, ${formatBytes(bytesPerSec)}/s${left}`);
}

function barCells({ columns }: Style): number {
  return Math.max(8, Math.min(BAR_CELLS_MAX, columns - LABEL_CELLS - 34));
}

function table(checkpoints: readonly Checkpoint[], nowMs: number, style: Style): string[] {
  if (checkpoints.length === 0) return ['No checkpoint yet.'];
  if (style.columns < TABLE_CELLS) {
    return checkpoints.flatMap((checkpoint) => fit(inWords(checkpoint, nowMs), style, TEXT_AT));
  }
  const cells = (values: readonly string[]): string =>
    values.map((value, at) => (at === 2 ? value.padEnd(7) : value.padStart(10))).join(' ');
  const head = cells(['epoch', 'ago', 'cause', 'paused', 'gate', 'committed', 'dropped']);
  const rows = checkpoints.map((checkpoint) => {
    const { epoch, at, cause, pausedMs, gateClosedMs, committedPages, droppedPages } = checkpoint;
    const ago = formatAge(nowMs - Date.parse(at));
    const times = [formatMs(pausedMs), formatMs(gateClosedMs)];
    const pages = [String(committedPages), String(droppedPages)];
    return cells([String(epoch), ago, cause ?? '-', ...times, ...pages]);
  });
  return [head, ...rows];
}

/** A checkpoint where there is no room for a table. */
function inWords(checkpoint: Checkpoint, nowMs: number): string {
  const { epoch, at, cause, pausedMs, gateClosedMs, committedPages, droppedPages } = checkpoint;
  return row(
    `epoch ${epoch}`,
    `${formatAge(nowMs - Date.parse(at))} ago${cause === null ? '' : ` (${cause})`}: ` +
      `guest paused ${formatMs(pausedMs)}, gate closed ${formatMs(gateClosedMs)}, ` +
      `${committedPages} pages committed, ${droppedPages} dropped`,
  );
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_CELLS)}${text}`;
}

/** In ASCII, without control characters: whatever a peer says, a terminal only shows it. */
export function plain(text: string): string {
  return text.replace(/[’“”→–…]/g, (found) => ASCII[found] ?? found).replace(/[\p{Cc}]/gu, ' ');
}

function fit(line: string, { columns }: Style, indent = 0): string[] {
  return wrap(plain(line), columns, indent);
}
