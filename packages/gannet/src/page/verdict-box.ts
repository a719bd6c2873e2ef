import type { DaemonEvent, Status } from '@gannet/contract';
import { glanceOf, type WorkProgress } from '../view/glance.js';
import { html, type VNode } from '../vendor/htm.js';
import { RemedyText } from './remedy-text.js';

/** Levels differ in shape and word, not only in colour. */
const MARKS: Readonly<Record<Status['health']['level'], readonly [mark: string, word: string]>> = {
  good: ['✓', 'Good'],
  busy: ['…', 'Busy'],
  idle: ['○', 'Idle'],
  warning: ['!', 'Warning'],
  bad: ['✕', 'Trouble'],
};

/** The verdict, what to do, and what has to be known to do it. */
export function VerdictBox(props: {
  status: Status;
  events: readonly DaemonEvent[];
  nowMs: number;
}): VNode {
  const { status, events, nowMs } = props;
  const { level, headline, remedy } = status.health;
  const [mark, word] = MARKS[level];
  const { facts, progress } = glanceOf(status, events, nowMs);
  return html`<section class=${`verdict ${level}`} aria-labelledby="verdict">
    <span class="mark" aria-hidden="true">${mark}</span>
    <div class="words">
      <h2 id="verdict"><span class="sr">${word}: </span>${headline}</h2>
      ${remedy === '' ? null : html`<p class="remedy"><${RemedyText} text=${remedy} /></p>`}
    </div>
    ${progress ? html`<${Bar} progress=${progress} />` : null}
    <dl class="facts">
      ${facts.map(
        ({ name, value }) =>
          html`<div key=${name}>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
  </section>`;
}

function Bar({ progress }: { progress: WorkProgress }): VNode {
  const { words, doneBytes, totalBytes = 0 } = progress;
  // Without a value it shows that something is under way.
  const value = doneBytes === undefined ? {} : { max: Math.max(1, totalBytes), value: doneBytes };
  return html`<div class="copy">
    <label for="progress">${words}</label>
    <progress id="progress" ...${value}></progress>
  </div>`;
}
