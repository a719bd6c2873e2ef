import type { Status } from '@gannet/contract';
import { html, type VNode } from '../vendor/htm.js';
import { formatAge, formatBytes, formatPercent } from '@gannet/contract/format';
import { type Buffers, type Overview, type Seed, spillWords } from '../view/overview.js';

const PARTS = [
  ['primary', 'Open epoch, from the primary'],
  ['secondary', 'Written by the secondary VM'],
  ['committed', 'Committed, not yet written to the base'],
] as const;

/** Memory and its limits, write-back, and the first copy. */
export function Memory({ status, overview }: { status: Status; overview: Overview }): VNode {
  const { buffers, seed, waiting } = overview;
  return html`<section class="card memory" aria-labelledby="memory">
    <h2 id="memory">Memory and disks</h2>
    ${
      buffers
        ? html`<${Budget} buffers=${buffers} />`
        : html`<p class="none">Nothing from the secondary yet.</p>`
    }
    ${waiting === undefined ? null : html`<p class="waiting">Memory ${waiting}.</p>`}
    ${status.role === 'secondary' ? html`<${Disks} disks=${status.disks} />` : null}
    ${seed ? html`<${Copy} seed=${seed} />` : null}
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

type DiskView = Extract<Status, { role: 'secondary' }>['disks'][number];

function Disks({ disks }: { disks: readonly DiskView[] }): VNode {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Disks">
    <table>
      <thead>
        <tr>
          <th scope="col">Disk</th>
          <th scope="col" class="number">Size</th>
          <th scope="col" class="number">Write-back backlog</th>
          <th scope="col" class="number">Epochs waiting</th>
          <th scope="col" class="number">Requests</th>
        </tr>
      </thead>
      <tbody>
        ${disks.map(
          ({ name, sizeBytes, backlogBytes, epochsToWriteBack, requests }) =>
            html`<tr key=${name}>
              <th scope="row">${name}</th>
              <td class="number">${formatBytes(sizeBytes)}</td>
              <td class="number">${formatBytes(backlogBytes)}</td>
              <td class="number">${epochsToWriteBack}</td>
              <td class="number">${requests}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Copy({ seed }: { seed: Seed }): VNode {
  const { doneBytes, totalBytes, bytesPerSec, secondsLeft } = seed;
  const left = secondsLeft === null ? '' : `, ${formatAge(1000 * secondsLeft)} left`;
  return html`<div class="copy">
    <p>
      <label for="copy">First copy: ${formatPercent(doneBytes, totalBytes)}</label> of
      ${' '}${formatBytes(totalBytes)}, ${formatBytes(bytesPerSec)}/s${left}
    </p>
    <progress id="copy" max=${Math.max(1, totalBytes)} value=${doneBytes}></progress>
  </div>`;
}
