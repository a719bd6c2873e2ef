import type { Status } from '@gannet/contract';
import { html, type VNode } from '../vendor/htm.js';
import { formatBytes } from '@gannet/contract/format';
import { Table } from './table.js';
import { type Buffers, type Overview, spillWords } from '../view/overview.js';

const PARTS = [
  ['primary', 'Open epoch, from the primary'],
  ['secondary', 'Written by the secondary VM'],
  ['committed', 'Committed, not yet written to the base'],
] as const;

/** Memory and its limits, and write-back. */
export function Memory({ status, overview }: { status: Status; overview: Overview }): VNode {
  const { buffers, waiting } = overview;
  return html`<section class="card memory" aria-labelledby="memory">
    <h2 id="memory">Memory and disks</h2>
    ${
      buffers
        ? html`<${Budget} buffers=${buffers} />`
        : html`<p class="none">Nothing from the secondary yet.</p>`
    }
    ${waiting === undefined ? null : html`<p class="waiting">Memory ${waiting}.</p>`}
    ${status.role === 'secondary' ? html`<${Disks} disks=${status.disks} />` : null}
  </section>`;
}

function Budget({ buffers }: { buffers: Buffers }): VNode {
  const { softBytes, hardBytes, primary, secondary, committed } = buffers;
  const used = primary + secondary + committed;
  const width = (bytes: number): Record<string, string> => ({
    width: `${Math.min(100, (100 * bytes) / hardBytes)}%`,
  });
  const isOver = used > softBytes;
  const spilled = spillWords(buffers);
  const limits = `soft limit ${formatBytes(softBytes)}, hard limit ${formatBytes(hardBytes)}`;
  const summary = `${formatBytes(used)} used; ${limits}`;
  return html`<div>
    <p class="figure">
      <strong>${formatBytes(used)}</strong> of ${formatBytes(hardBytes)}
      ${
        isOver
          ? html` <span class="pill warning"
              ><span aria-hidden="true">!</span> above the soft limit</span
            >`
          : null
      }
    </p>
    <div class="budget" role="img" aria-label=${summary}>
      ${PARTS.map(
        ([key]) =>
          html`<span key=${key} class=${`part ${key}`} style=${width(buffers[key])}></span>`,
      )}
      <span class="soft" style=${{ left: `${(100 * softBytes) / hardBytes}%` }}></span>
    </div>
    <p class="limits" aria-hidden="true">
      <span>soft ${formatBytes(softBytes)}</span><span>hard ${formatBytes(hardBytes)}</span>
    </p>
    <dl class="parts">
      ${PARTS.map(
        ([key, name]) =>
          html`<div key=${key}>
            <dt><span class=${`key part ${key}`} aria-hidden="true"></span> ${name}</dt>
            <dd>${formatBytes(buffers[key])}</dd>
          </div>`,
      )}
      ${
        spilled === undefined
          ? null
          : html`<div>
              <dt><span class="key" aria-hidden="true"></span> Spilled</dt>
              <dd>${spilled}</dd>
            </div>`
      }
    </dl>
  </div>`;
}

const DISK_HEAD = ['Disk', '#Size', '#Write-back backlog', '#Epochs waiting', '#Requests'] as const;

type DiskView = Extract<Status, { role: 'secondary' }>['disks'][number];

function Disks({ disks }: { disks: readonly DiskView[] }): VNode {
  return html`<div class="disks">
    <${Table}
      head=${DISK_HEAD}
      rows=${disks.map(({ name, sizeBytes, backlogBytes, epochsToWriteBack, requests }) => [
        name,
        ...[formatBytes(sizeBytes), formatBytes(backlogBytes)],
        ...[String(epochsToWriteBack), String(requests)],
      ])}
    />
  </div>`;
}
