import type { CheckpointCause } from '@gannet/contract';
import { CAUSE_TEXTS } from '@gannet/contract/events';
import { html, type VNode } from '../vendor/htm.js';
import { formatMs, formatTime } from '@gannet/contract/format';
import type { Checkpoint } from '../view/checkpoints.js';
import { Table } from './table.js';

const ROWS = 8;
/** A shape for each cause: it must not need its colour. */
const MARKS: Readonly<Record<CheckpointCause, string>> = {
  period: '',
  demand: '▲',
  memory: '■',
  output: '◆',
};

export function Timeline({ checkpoints }: { checkpoints: readonly Checkpoint[] }): VNode {
  const latest = checkpoints.slice(-ROWS).reverse();
  return html`<section class="card timeline" aria-labelledby="timeline">
    <h2 id="timeline">Checkpoints</h2>
    ${
      checkpoints.length === 0
        ? html`<p class="none">None yet.</p>`
        : html`<${Chart} checkpoints=${checkpoints} />`
    }
    ${latest.length === 0 ? null : html`<${Table} head=${HEAD} rows=${latest.map(cellsOf)} />`}
  </section>`;
}

/** A bar for each pause; within it, solid, how long the gate was closed. Marked by cause. */
function Chart({ checkpoints }: { checkpoints: readonly Checkpoint[] }): VNode {
  const heightOf = ({ pausedMs, gateClosedMs }: Checkpoint): number => pausedMs ?? gateClosedMs;
  const top = niceTop(Math.max(...checkpoints.map(heightOf)));
  const percent = (ms: number): string => `${Math.max(1, (100 * ms) / top)}%`;
  const longest = formatMs(Math.max(...checkpoints.map(heightOf)));
  const summary = `Pauses of the last ${checkpoints.length} checkpoints; the longest: ${longest}.`;
  return html`<figure>
    <div class="chart" role="img" aria-label=${summary}>
      <div class="axis">
        <span>${formatMs(top)}</span><span>${formatMs(top / 2)}</span><span>0</span>
      </div>
      <div class="bars">
        ${checkpoints.map((checkpoint) => {
          const { epoch, cause, pausedMs, gateClosedMs } = checkpoint;
          return html`<div class="bar" key=${epoch} title=${tipOf(checkpoint)}>
            <span class="cause">${cause === null ? '' : MARKS[cause]}</span>
            <span class="pause" style=${{ height: percent(pausedMs ?? gateClosedMs) }}>
              <span class="gate" style=${{ height: `${gateShare(checkpoint)}%` }}></span>
            </span>
          </div>`;
        })}
      </div>
    </div>
    <figcaption>
      <span><span class="key pause" aria-hidden="true"></span> guest paused</span>
      <span><span class="key gate" aria-hidden="true"></span> gate closed</span>
      ${(['demand', 'memory', 'output'] as const).map(
        (cause) =>
          html`<span key=${cause}
            ><span aria-hidden="true">${MARKS[cause]}</span> ${CAUSE_TEXTS[cause]}</span
          >`,
      )}
      <span>no mark: ${CAUSE_TEXTS.period}</span>
    </figcaption>
  </figure>`;
}

const HEAD = [
  'Epoch',
  'Time',
  'Cause',
  '#Paused',
  '#Gate closed',
  '#Pages committed',
  '#Pages dropped',
] as const;

function cellsOf({ epoch, at, cause, ...rest }: Checkpoint): unknown[] {
  const { pausedMs, gateClosedMs, committedPages, droppedPages } = rest;
  const mark = html`<span aria-hidden="true">${cause === null ? '' : MARKS[cause]}</span>`;
  return [
    epoch,
    formatTime(at),
    html`<span>${mark} ${cause ?? '–'}</span>`,
    ...[formatMs(pausedMs), formatMs(gateClosedMs)],
    ...[committedPages, droppedPages],
  ];
}

function tipOf({ epoch, cause, pausedMs, gateClosedMs }: Checkpoint): string {
  const times = `paused ${formatMs(pausedMs)}, gate closed ${formatMs(gateClosedMs)}`;
  return `epoch ${epoch}: ${times}, ${cause ?? 'cause unknown'}`;
}

/** In percent of the pause, of which it is a part. */
function gateShare({ pausedMs, gateClosedMs }: Checkpoint): number {
  if (pausedMs === null || pausedMs <= 0) return 100;
  return Math.min(100, (100 * gateClosedMs) / pausedMs);
}

/** 1, 2 or 5 times a power of ten, not below what has to fit. */
function niceTop(ms: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(ms, 0.1)));
  return power * ([1, 2, 5].find((factor) => factor * power >= ms) ?? 10);
}
