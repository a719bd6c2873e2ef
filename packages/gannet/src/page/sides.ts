import type { PeerPulse } from '@gannet/contract';
import { html, type VNode } from '../vendor/htm.js';
import { formatAge } from '@gannet/contract/format';
import { QEMU_TEXTS } from '@gannet/contract/states';
import type { Overview, Side } from '../view/overview.js';

type Word = Side['state'] | Side['vm'] | PeerPulse | 'connected';

/** Each state has a shape, so that it can be told without its colour. */
const MARKS: Readonly<Record<Word, readonly [mark: string, tone: string]>> = {
  ...{
    protected: ['✓', 'good'],
    ready: ['✓', 'good'],
    connected: ['✓', 'good'],
    up: ['✓', 'good'],
  },
  ...{ protecting: ['…', 'busy'], seeding: ['…', 'busy'], awaited: ['○', 'idle'] },
  ...{ unprotected: ['○', 'idle'], none: ['○', 'idle'], unknown: ['?', 'idle'] },
  ...{ 'failed-over': ['!', 'warning'], retired: ['!', 'warning'], late: ['!', 'warning'] },
  ...{ alone: ['!', 'bad'], diverged: ['✕', 'bad'], hung: ['✕', 'bad'], lost: ['✕', 'bad'] },
  ...{ unusable: ['✕', 'bad'], superseded: ['✕', 'bad'], yielding: ['✕', 'bad'] },
  ...{ ended: ['○', 'idle'], held: ['✕', 'bad'] },
};
const PULSES: Readonly<Record<PeerPulse, string>> = {
  ...{ up: 'up', late: 'late', lost: 'lost', unknown: 'none yet', none: 'no peer link' },
};

export function Pill({ word, text = word }: { word: Word; text?: string }): VNode {
  const [mark, tone] = MARKS[word];
  return html`<span class=${`pill ${tone}`}><span aria-hidden="true">${mark}</span> ${text}</span>`;
}

export function Sides({ overview }: { overview: Overview }): VNode {
  const { primary, secondary, link, pulse, silentMs, mayFailOver } = overview;
  const isLost = link !== 'connected' && link !== 'none' && link !== 'unknown';
  const word = isLost ? 'lost' : link;
  const beat = silentMs === undefined ? '' : `, ${formatAge(silentMs)} ago`;
  return html`<section class="sides" aria-label="Both sides">
    <${Host} side=${primary} />
    <div class="between">
      <span class="arrow" aria-hidden="true">→</span>
      <dl>
        <div>
          <dt>Writes</dt>
          <dd><${Pill} word=${word} text=${isLost ? 'link lost' : link} /></dd>
        </div>
        <div>
          <dt>Heartbeat</dt>
          <dd><${Pill} word=${pulse} text=${`${PULSES[pulse]}${beat}`} /></dd>
        </div>
      </dl>
    </div>
    <${Host} side=${secondary} mayFailOver=${mayFailOver} />
  </section>`;
}

function Host({ side, mayFailOver }: { side: Side; mayFailOver?: boolean }): VNode {
  const { role, host, isHere, state, vm, trouble, network } = side;
  return html`<article class="card host" aria-label=${role}>
    <h2>
      ${role === 'primary' ? 'Primary' : 'Secondary'}
      ${isHere ? html`<span class="here">this daemon</span>` : null}
    </h2>
    <dl>
      <div>
        <dt>Host</dt>
        <dd>${host === '' ? 'unknown yet' : host}</dd>
      </div>
      <div>
        <dt>State</dt>
        <dd><${Pill} word=${state} /></dd>
      </div>
      <div>
        <dt>QEMU</dt>
        <dd><${Pill} word=${vm} text=${QEMU_TEXTS[vm]} /></dd>
      </div>
      ${
        role === 'secondary'
          ? html`<div>
              <dt>Fit to take over</dt>
              <dd>${mayFailOver === undefined ? '?' : mayFailOver ? '✓ yes' : '✕ no'}</dd>
            </div>`
          : null
      }
      ${network.map(
        (card) =>
          html`<div key=${card}>
            <dt>Network</dt>
            <dd>${card}</dd>
          </div>`,
      )}
    </dl>
    ${trouble === '' ? null : html`<p class="trouble">${trouble}</p>`}
  </article>`;
}
