/** Monitors, character devices and sound: what the host has at the other end. */
import { finding, type Finding } from '../inspect/finding.js';
import { optionText, type OptionValue } from './option-text.js';
import { shortSocketPath } from './socket-path.js';
import type { VmReport } from '../inspect/vm-report.js';

export interface BackendOptions {
  readonly socketFolder: string;
  /** By the id of the character device or the sound device, in place of what would be derived. */
  readonly backends?: Readonly<Record<string, string>>;
}

/** -qmp cannot be given an IPv6 address; a character device can. */
export function monitorArguments(addresses: readonly string[]): string[] {
  return addresses.flatMap((address, index) => {
    const path = /^unix:(.*)$/.exec(address)?.[1];
    if (path !== undefined) {
      return ['-qmp', `unix:${path.replaceAll(',', ',,')},server=on,wait=off`];
    }
    const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
    const id = `gannet-qmp${index}`;
    const socket = optionText([
      ['id', id],
      ['host', host],
      ['port', port],
      ['server', true],
      ['wait', false],
    ]);
    return ['-chardev', `socket,${socket}`, '-mon', `chardev=${id},mode=control`];
  });
}

/** The name of a character device becomes the name of a socket, so that no other's is taken. */
export function chardevArguments(
  { chardevs, devices }: VmReport,
  { backends = {}, socketFolder }: BackendOptions,
  findings: Finding[],
): string[] {
  const used = new Set(devices.map(({ properties }) => properties['chardev']));
  return chardevs.flatMap(({ id, filename }, index) => {
    const given = backends[id];
    if (given !== undefined) return ['-chardev', `${given},id=${id}`];
    if (!used.has(id)) return [];
    const path = shortSocketPath(socketFolder, `${id}.sock`, `${index}.sock`);
    if (path === undefined) {
      const message = `a socket for ${id} in ${socketFolder} would have too long a path`;
      const remedy = 'Say what its back end is to be on the secondary host.';
      findings.push(finding('error', 'socket-path-too-long', message, remedy, id));
      return [];
    }
    const entries: [string, OptionValue][] = [
      ['id', id],
      ['path', path],
      ['server', true],
      ['wait', false],
    ];
    const message = `${id} is ${filename} on the primary, and a socket ${path} on the secondary`;
    const remedy = `Give it another back end where this one does not fit.`;
    findings.push(finding('info', 'chardev-changed', message, remedy, id));
    return ['-chardev', `socket,${optionText(entries)}`];
  });
}

/** QMP does not show what a sound device plays on: on the secondary it is nothing. */
export function audioArguments(
  { devices }: VmReport,
  { backends = {} }: BackendOptions,
  findings: Finding[],
): string[] {
  const ids = new Set(devices.flatMap(({ properties }) => properties['audiodev'] ?? []));
  return [...ids].map(String).flatMap((id) => {
    const given = backends[id];
    if (given === undefined) {
      const message = `the sound of ${id} is not played on the secondary`;
      const remedy = 'Give it a back end where it should be.';
      findings.push(finding('info', 'audiodev-changed', message, remedy, id));
    }
    return ['-audiodev', `${given ?? 'none'},${optionText([['id', id]])}`];
  });
}
