/** The page of a host: a table of its VMs, and of those of other hosts. Plain HTML, no script. */
import { formatAge, formatBytes } from '@gannet/contract/format';
import { z } from 'zod';

const common = { vm: z.string(), isWell: z.boolean() };
const text = z.string().nullable();

/** What the page shows of a row of `gannet list`. */
export const shownVmSchema = z.union([
  z.object({
    ...common,
    error: z.null(),
    ...{ role: text, state: text },
    health: z.object({ level: z.string(), headline: z.string(), remedy: z.string() }).nullable(),
    peer: z.object({ host: text, pulse: z.string() }).nullable(),
    epochAgeMs: z.number().nullable(),
    backlogBytes: z.number().nullable(),
  }),
  z.object({ ...common, error: z.object({ message: z.string(), remedy: z.string() }) }),
]);
type ShownVm = Readonly<z.output<typeof shownVmSchema>>;

/** One host of the page. */
export interface HostView {
  readonly host: string;
  readonly vms: readonly ShownVm[];
  /** Why nothing is known of a host that was asked. */
  readonly trouble?: string;
  /** Its own page; undefined for the host that serves this one. */
  readonly url?: string;
}

/** How often a browser loads the page again. */
const REFRESH_S = 5;
const HEAD = ['VM', 'Role', 'State', 'Verdict', 'Peer', 'Epoch age', 'Backlog'] as const;
const MARKS: Readonly<Record<string, string>> = {
  ...{ good: '✓', busy: '…', idle: '–', warning: '!', bad: '✕' },
};

/** @param at when this was seen, as people read it */
export function hostPage(hosts: readonly HostView[], at: string): string {
  const all = hosts.flatMap(({ vms }) => vms);
  const unwell = all.filter(({ isWell }) => !isWell).length;
  const silent = hosts.filter(({ trouble }) => trouble !== undefined).length;
  const title = [
    `${all.length} ${all.length === 1 ? 'VM' : 'VMs'}`,
    unwell === 0 ? (all.length === 0 ? '' : 'all well') : `${unwell} not well`,
    silent === 0 ? '' : `${silent} ${silent === 1 ? 'host does' : 'hosts do'} not answer`,
  ].filter((part) => part !== '');
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <meta http-equiv="refresh" content="${REFRESH_S}" />
    <title>${escaped(title.join(', '))} - Gannet</title>
    <link rel="icon" href="/icon.svg" />
    <link rel="stylesheet" href="/page.css" />
  </head>
  <body>
    <div class="page">
      <header class="top"><h1>${escaped(title.join(', '))}</h1><p>${escaped(at)}</p></header>
      <main>
${hosts.map(sectionOf).join('\n')}
      </main>
    </div>
  </body>
</html>`;
}

function sectionOf({ host, vms, trouble, url }: HostView): string {
  const name = url === undefined ? escaped(host) : `<a href="${escaped(url)}">${escaped(host)}</a>`;
  const head = `<section class="card hosts"><h2>${name}</h2>`;
  if (trouble !== undefined) return `${head}<p class="bad">${escaped(trouble)}</p></section>`;
  if (vms.length === 0) return `${head}<p>No VM is configured here.</p></section>`;
  const cells = HEAD.map((text) => `<th scope="col">${text}</th>`).join('');
  const rows = vms.map(rowOf).join('\n');
  const label = `VMs of ${escaped(host)}`;
  return `${head}<div class="scroll" tabindex="0" role="region" aria-label="${label}">
<table><thead><tr>${cells}</tr></thead><tbody>
${rows}
</tbody></table></div></section>`;
}

function rowOf(vm: ShownVm): string {
  const level = vm.error === null ? (vm.health?.level ?? 'bad') : 'bad';
  const name = `<th scope="row" class="${level}">${MARKS[level] ?? '?'} ${escaped(vm.vm)}</th>`;
  const cells = vm.error === null ? cellsOf(vm) : ['', '', vm.error.message, '', '', ''];
  const remedy = vm.isWell ? '' : ((vm.error ?? vm.health)?.remedy ?? '');
  const row = cells.map((text) => `<td>${escaped(text) || '-'}</td>`).join('');
  if (remedy === '') return `<tr>${name}${row}</tr>`;
  const more = `<td></td><td colspan="${HEAD.length - 1}">${escaped(remedy)}</td>`;
  return `<tr>${name}${row}</tr>\n<tr class="remedy">${more}</tr>`;
}

function cellsOf(vm: ShownVm & { readonly error: null }): string[] {
  return [
    ...[vm.role ?? '', vm.state ?? '', vm.health?.headline ?? 'the daemon gives no verdict'],
    vm.peer ? `${vm.peer.host ?? ''} (${vm.peer.pulse})`.trim() : '',
    vm.epochAgeMs === null ? '' : formatAge(vm.epochAgeMs),
    vm.backlogBytes === null ? '' : formatBytes(vm.backlogBytes),
  ];
}

function escaped(text: string): string {
  const entity = (character: string): string => `&#${character.charCodeAt(0)};`;
  return text.replace(/[&<>"']/g, entity);
}
