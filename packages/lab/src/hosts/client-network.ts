import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import { LabError } from '../errors.js';

const run = promisify(execFile);
/** From a network for documentation (RFC 5737). */
const CLIENT = '192.0.2.1';
const GUEST = '192.0.2.10';
const SERVICE_PORT = 7;

/** What the clients have seen, per connection. */
export interface TrafficReport {
  /** Lines that were answered correctly, byte for byte. */
  readonly lines: number;
  /** The longest wait for an answer since the last report. */
  readonly longestMs: number;
  readonly failure?: string;
}

/**
 * A network for the guest and a client: a bridge with a tap for each VM in one network namespace,
 * and a client behind a cable (veth) in another. All VMs have the same addresses; the bridge sends
 * packets to the VM from which it last saw one. Needs root. Ends with its process and leaves
 * nothing behind.
 */
export class ClientNetwork {
  readonly guestAddress = GUEST;
  #clients: ChildProcess | undefined;
  #answers: Interface | undefined;

  private constructor(
    private readonly bridge: ChildProcess,
    private readonly client: ChildProcess,
  ) {}

  /** @param taps for how many VMs */
  static async create(taps: number): Promise<ClientNetwork> {
    const network = new ClientNetwork(namespace(), namespace());
    try {
      await Promise.all([network.bridge, network.client].map(inItsNamespace));
      await network.#wire(taps);
    } catch (cause) {
      await network.dispose();
      throw new LabError(`no network with a client: ${String(cause)}`, { cause });
    }
    return network;
  }

  /** The tap of VM number `index`. */
  tap(index: number): string {
    return `tap${index}`;
  }

  /** A command in the namespace of the taps. */
  inside(...command: readonly string[]): string[] {
    return ['nsenter', '--net', '--target', String(this.bridge.pid), ...command];
  }

  /** A command in the namespace of the client. */
  outside(...command: readonly string[]): string[] {
    return ['nsenter', '--net', '--target', String(this.client.pid), ...command];
  }

  /** Opens more connections to the guest's service; they talk from then on. */
  open(count: number): void {
    this.#clients ??= this.#startClients();
    this.#clients.stdin?.write(`open ${count}\n`);
  }

  async report(): Promise<TrafficReport[]> {
    if (!this.#clients || !this.#answers) throw new LabError('no connection has been opened');
    const line = once(this.#answers, 'line');
    this.#clients.stdin?.write('report\n');
    const [text] = (await line) as [string];
    return JSON.parse(text) as TrafficReport[];
  }

  async dispose(): Promise<void> {
    for (const child of [this.#clients, this.client, this.bridge]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
    }
  }

  async #wire(taps: number): Promise<void> {
    const [bridge, client] = [this.bridge, this.client].map(({ pid }) => String(pid));
    const cable = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', client ?? ''];
    await run('ip', ['link', 'add', 'port', 'netns', bridge ?? '', ...cable]);
    const inBridge = (...args: string[]) => run('nsenter', this.inside('ip', ...args).slice(1));
    await inBridge('link', 'set', 'lo', 'up');
    await inBridge('link', 'add', 'bridge', 'type', 'bridge');
    await inBridge('link', 'set', 'bridge', 'up');
    for (let index = 0; index < taps; index++) {
      await inBridge('tuntap', 'add', this.tap(index), 'mode', 'tap');
      await inBridge('link', 'set', this.tap(index), 'master', 'bridge', 'up');
    }
    await inBridge('link', 'set', 'port', 'master', 'bridge', 'up');
    const inClient = (...args: string[]) => run('nsenter', this.outside('ip', ...args).slice(1));
    await inClient('address', 'add', `${CLIENT}/24`, 'dev', 'eth0');
    await inClient('link', 'set', 'eth0', 'up');
  }

  #startClients(): ChildProcess {
    const program = path.join(import.meta.dirname, 'traffic.js');
    const target = [process.execPath, program, GUEST, String(SERVICE_PORT)];
    const clients = spawn('setpriv', ['--pdeathsig', 'KILL', ...this.outside(...target)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: clients.stdout });
    return clients;
  }
}

/** A process that is nothing but a network namespace. */
function namespace(): ChildProcess {
  const holder = ['unshare', '--net', 'sh', '-c', 'echo there; exec sleep infinity'];
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...holder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function inItsNamespace(holder: ChildProcess): Promise<void> {
  const ended = once(holder, 'close').then(() => {
    throw new LabError('a network namespace could not be made');
  });
  ended.catch(() => undefined);
  if (holder.stdout) await Promise.race([once(holder.stdout, 'data'), ended]);
}
