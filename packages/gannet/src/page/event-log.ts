import { type DaemonEvent, describeEvent, type EventLevel } from '@gannet/contract/events';
import { formatTime } from '@gannet/contract/format';
import { html, useState, type VNode } from '../vendor/htm.js';
import { RemedyText } from './remedy-text.js';

const SHOWN_MAX = 100;
const MARKS: Readonly<Record<EventLevel, readonly [mark: string, word: string]>> = {
  error: ['✕', 'Error'],
  warn: ['!', 'Warning'],
  info: ['i', 'Note'],
  debug: ['·', 'Detail'],
};

/** The events, newest first; those of each checkpoint (level debug) only on request. */
export function EventLog({ events, vm }: { events: readonly DaemonEvent[]; vm: string }): VNode {
  const [withDetails, setWithDetails] = useState(false);
  const described = events.map((event) => ({ event, ...describeEvent(event, vm) }));
  const shown = described.filter(({ level }) => withDetails || level !== 'debug').slice(-SHOWN_MAX);
  return html`<section class="card log" aria-labelledby="log">
    <div class="log-head">
      <h2 id="log">Events</h2>
      <label>
        <input
          type="checkbox"
          checked=${withDetails}
          onChange=${(change: Event) => setWithDetails((change.target as HTMLInputElement).checked)}
        />
        show each checkpoint
      </label>
    </div>
    <ol class="scroll" tabindex="0" aria-label="Events, newest first">
      ${shown.reverse().map(({ event, level, text, remedy }) => {
        const [mark, word] = MARKS[level];
        return html`<li class=${level}>
          <time datetime=${event.at}>${formatTime(event.at)}</time>
          <span class="level"
            ><span class="mark" aria-hidden="true">${mark}</span
            ><span class="sr">${word}</span></span
          >
          <span class="what">
            ${text}${
              remedy === ''
                ? null
                : html`<span class="remedy"
                    ><span aria-hidden="true">→ </span><${RemedyText} text=${remedy}
                  /></span>`
            }
          </span>
        </li>`;
      })}
    </ol>
  </section>`;
}
