/** `gannet list`: once, or again and again. */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { placesOf } from '@gannet/contract/paths';
import { type HostVm, hostVms } from '../../host/host-list.js';
import { renderList } from './render-list.js';
import { Canvas, isDrawable, type Screen } from './screen.js';

/** Of the JSON document; see STATUS_SCHEMA. */
const LIST_SCHEMA = 1;
const LOOK_EVERY_MS = 1000;

export interface ListOptions {
  readonly json: boolean;
  readonly silenceMs: number;
  readonly screen: Screen;
  readonly env: NodeJS.ProcessEnv;
  /** Between two looks of watchList(). */
  readonly everyMs?: number;
}

/** Prints all VMs of this host. @returns whether all of them are well */
export async function showList(options: ListOptions): Promise<boolean> {
  const vms = await look(options);
  options.screen.write(textOf(vms, options));
  return vms.every((vm) => vm.isWell);
}

/**
 * Shows all VMs of this host until it is told to end. A terminal is drawn again each second.
 * Elsewhere the list is printed again whenever the state of a VM has changed.
 */
export async function watchList(options: ListOptions, signal: AbortSignal): Promise<void> {
  const { screen, env, json, everyMs = LOOK_EVERY_MS } = options;
  const hasColour = env['NO_COLOR'] === undefined;
  let vms = await look(options);
  const canvas = new Canvas(screen, ({ columns, rows }) => {
    const lines = renderList(vms, hostname(), { columns, hasColour });
    return [...lines.slice(0, rows - 2), '', 'Ctrl-C quits.'];
  });
  const isDrawn = !json && isDrawable(screen, env);
  if (isDrawn) canvas.begin();
  try {
    for (let said = ''; !signal.aborted; vms = await look(options)) {
      const news = JSON.stringify(vms.map(essenceOf));
      if (isDrawn) canvas.draw();
      else if (news !== said) screen.write(textOf(vms, options));
      said = news;
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    if (isDrawn) canvas.end();
  }
}

function look({ env, silenceMs }: ListOptions): Promise<HostVm[]> {
  return hostVms(placesOf(env), silenceMs);
}

function textOf(vms: readonly HostVm[], { json, screen, env }: ListOptions): string {
  const host = hostname();
  if (json) return `${JSON.stringify({ schema: LIST_SCHEMA, host, vms })}\n`;
  const isTerminal = screen.isTTY === true;
  const style = {
    columns: (isTerminal && screen.columns) || Infinity,
    hasColour: isTerminal && env['NO_COLOR'] === undefined,
  };
  return `${renderList(vms, host, style).join('\n')}\n`;
}

/** What does not change by itself from one look to the next. */
function essenceOf(vm: HostVm): unknown {
  if (vm.error !== null) return [vm.vm, vm.error.code];
  return [vm.vm, vm.role, vm.state, vm.health?.code, vm.peer?.pulse];
}
