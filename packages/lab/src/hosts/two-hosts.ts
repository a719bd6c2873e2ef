import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { LabError } from '../errors.js';
import type { Forwarding } from './forwarder.js';

const run = promisify(execFile);
/** From a network for documentation (RFC 5737), which nobody uses. */
export const HOST_ADDRESSES = ['192.0.2.1', '192.0.2.2'] as const;
const PORT = 7001;
const START_TIMEOUT_MS = 10_000;

export interface HostLink {
  readonly name: string;
  /** The unix socket that is created for the primary host. */
  readonly near: string;
  /** The unix socket of the secondary host to which it leads. */
  readonly far: string;
}

/** `drop` loses every packet silently; `reset` answers each with a TCP reset. */
export type Cut = 'drop' | 'reset';

/**
 * A network between two hosts on one machine: two network namespaces with a cable (veth) between
 * them, and a forwarder in each. QEMUs and daemons stay outside, unless started by inside(): they
 * reach the forwarders by unix sockets, and every byte crosses the cable as TCP. Needs root. Ends
 * with its process and leaves nothing behind.
 */
export class TwoHosts {
  private constructor(
    private readonly links: readonly HostLink[],
    private readonly hosts: readonly [ChildProcess, ChildProcess],
  ) {}

  static async create(links: readonly HostLink[]): Promise<TwoHosts> {
    const [, far] = HOST_ADDRESSES;
    const wire = (index: number): { host: string; port: number } => ({
      ...{ host: far, port: PORT + index },
    });
    const hosts = [
      start(links.map(({ near }, index) => ({ from: { path: near }, to: wire(index) }))),
      start(links.map((link, index) => ({ from: wire(index), to: { path: link.far } }))),
    ] as const;
    const network = new TwoHosts(links, hosts);
    try {
      await Promise.all(hosts.map((host) => said(host, 'started')));
      await network.#connect();
      for (const host of hosts) host.stdin?.write('begin\n');
      await Promise.all(hosts.map((host) => said(host, 'ready')));
    } catch (cause) {
      await network.dispose();
      throw new LabError(`no network of two hosts: ${String(cause)}`, { cause });
    }
    return network;
  }

  /** Cuts these links, in both directions; without names, all of them. */
  async cut(how: Cut, ...names: readonly string[]): Promise<void> {
    await this.#rule(how === 'drop' ? 'drop' : 'reject with tcp reset', names);
  }

  /**
   * Drops packets beyond this rate, in each direction of each link, so that TCP slows down to it.
   */
  async slow(kibPerSec: number, ...names: readonly string[]): Promise<void> {
    await this.#rule(`limit rate over ${kibPerSec} kbytes/second burst 64 kbytes drop`, names);
  }

  async #rule(what: string, names: readonly string[]): Promise<void> {
    const ports = this.links.flatMap(({ name }, index) =>
      names.length === 0 || names.includes(name) ? [PORT + index] : [],
    );
    const rules = ports.flatMap((port) => [
      `add rule inet gannet in tcp dport ${port} ${what}`,
      `add rule inet gannet out tcp sport ${port} ${what}`,
    ]);
    await this.#filter([
      'add table inet gannet',
      'add chain inet gannet in { type filter hook input priority 0; }',
      'add chain inet gannet out { type filter hook output priority 0; }',
      // The resets that answer what came in are packets, too: a rule below would drop them.
      'add rule inet gannet out tcp flags & rst == rst accept',
      ...rules,
    ]);
  }

  /** A command on a host: the primary's is 0, the secondary's is 1. */
  inside(host: 0 | 1, ...command: readonly string[]): string[] {
    return ['nsenter', '--net', '--target', String(this.hosts[host].pid), ...command];
  }

  /** Runs a command on a host, and returns what it prints. */
  async run(host: 0 | 1, ...command: readonly string[]): Promise<string> {
    const [program = '', ...args] = this.inside(host, ...command);
    return (await run(program, args)).stdout;
  }

  /** Removes all cuts and limits. */
  async mend(): Promise<void> {
    await this.#filter(['flush ruleset']);
  }

  async dispose(): Promise<void> {
    for (const host of this.hosts) {
      if (host.exitCode !== null || host.signalCode !== null) continue;
      const ended = once(host, 'close');
      host.kill('SIGKILL');
      await ended;
    }
    for (const { near } of this.links) await rm(near, { force: true });
  }

  /** Creates the cable inside the namespaces, so that it is never visible outside. */
  async #connect(): Promise<void> {
    const [near, far] = this.hosts.map(({ pid }) => String(pid));
    const cable = ['name', 'cable', 'netns'];
    await run('ip', [
      ...['link', 'add', ...cable, near ?? '', 'type', 'veth', 'peer', ...cable, far ?? ''],
    ]);
    for (const [index, address] of HOST_ADDRESSES.entries()) {
      const host = index === 0 ? 0 : 1;
      await this.run(host, 'ip', 'address', 'add', `${address}/24`, 'dev', 'cable');
      await this.run(host, 'ip', 'link', 'set', 'cable', 'up');
    }
  }

  async #filter(commands: readonly string[]): Promise<void> {
    await this.run(1, 'nft', commands.join('\n'));
  }
}

/** A forwarder in a new network namespace, which ends with this process. */
function start(links: readonly Forwarding[]): ChildProcess {
  const program = path.join(import.meta.dirname, 'forwarder.js');
  const command = ['unshare', '--net', process.execPath, program, JSON.stringify(links)];
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

async function said(host: ChildProcess, word: string): Promise<void> {
  const timer = AbortSignal.timeout(START_TIMEOUT_MS);
  const ended = once(host, 'close', { signal: timer }).then(() => {
    throw new LabError('a forwarder has ended');
  });
  ended.catch(() => undefined);
  const heard = host.stdout && once(host.stdout, 'data', { signal: timer });
  const [text] = ((await Promise.race([heard, ended])) ?? []) as unknown[];
  if (String(text).trim() !== word) throw new LabError(`a forwarder says ${String(text)}`);
}
