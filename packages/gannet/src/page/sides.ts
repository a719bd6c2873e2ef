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

interface PillProps {
  readonly word: Word;
  readonly text?: string;
  /** Nothing is green while the VM is not well. */
  readonly isWell: boolean;
}

function Pill({ word, text = word, isWell }: PillProps): VNode {
  const [mark, usual] = MARKS[word];
  const tone = usual === 'good' && !isWell ? 'idle' : usual;
  return html`<span class=${`pill ${tone}`}><span aria-hidden="true">${mark}</span> ${text}</span>`;
}

export function Sides(props: { overview: Overview; vm: string; isWell: boolean }): VNode {
  const { overview, vm, isWell } = props;
  const { primary, secondary, link, pulse, silentMs, mayFailOver } = overview;
  const isLost = link !== 'connected' && link !== 'none' && link !== 'unknown';
  const word = isLost ? 'lost' : link;
  const beat = silentMs === undefined ? '' : `, ${formatAge(silentMs)} ago`;
  return html`<section class="sides" aria-label="Both sides">
    <${Host} side=${primary} vm=${vm} isWell=${isWell} />
    <div class="between">
      <span class="arrow" aria-hidden="true">→</span>
      <dl>
        <div>
          <dt>Writes</dt>
          <dd><${Pill} word=${word} text=${isLost ? 'link lost' : link} isWell=${isWell} /></dd>
        </div>
        <div>
          <dt>Heartbeat</dt>
          <dd><${Pill} word=${pulse} text=${`${PULSES[pulse]}${beat}`} isWell=${isWell} /></dd>
        </div>
      </dl>
    </div>
    <${Host} side=${secondary} vm=${vm} isWell=${isWell} mayFailOver=${mayFailOver} />
  </section>`;
}

interface HostProps {
  readonly side: Side;
  readonly vm: string;
  readonly isWell: boolean;
  readonly mayFailOver?: boolean;
}

function Host({ side, vm, isWell, mayFailOver }: HostProps): VNode {
  const { role, host, isHere, state, vm: qemu, trouble, network, about, staleMs } = side;
  const isNow = isWell && staleMs === undefined;
  const qemuWords = `${QEMU_TEXTS[qemu]}${about?.qemu === undefined ? '' : `, ${about.qemu}`}`;
  return html`<article
    class=${staleMs === undefined ? 'card host' : 'card host old'}
    aria-label=${role}
  >
    <h2>
      ${role === 'primary' ? 'Primary' : 'Secondary'}
      ${isHere ? html`<span class="here">this daemon</span>` : null}
      ${staleMs === undefined ? null : html`<span class="here">${formatAge(staleMs)} ago</span>`}
    </h2>
    <dl>
      <${Row} name="Host">${host === '' ? 'unknown yet' : host}<//>
      <${Row} name="State"><${Pill} word=${state} isWell=${isNow} /><//>
      <${Row} name="QEMU"><${Pill} word=${qemu} text=${qemuWords} isWell=${isNow} /><//>
      ${
        role === 'secondary'
          ? html`<${Row} name="Fit to take over">
              ${mayFailOver === undefined ? '?' : mayFailOver ? '✓ yes' : '✕ no'}
            <//>`
          : null
      }
      ${network.map((card) => html`<${Row} key=${card} name="Network">${card}<//>`)}
      ${about ? html`<${Row} name="Gannet">${about.version}<//>` : null}
      ${
        isHere || host === ''
          ? null
          : html`<${Row} name="Its page">
              ${
                about?.page === undefined
                  ? html`on ${host}: <code>gannet page ${vm}</code>`
                  : html`<a href=${about.page} rel="noreferrer">${about.page}</a>`
              }
            <//>`
      }
    </dl>
    ${trouble === '' ? null : html`<p class="trouble">${trouble}</p>`}
  </article>`;
}

function Row({ name, children }: { name: string; children: unknown }): VNode {
  return html`<div>
    <dt>${name}</dt>
    <dd>${children}</dd>
  </div>`;
}
