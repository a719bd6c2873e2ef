// The daemons' link, where `ws`, `node:http` and the claiming of a socket's path would be: messages
// arrive in order and late, a network that is silent keeps them under way, and who dies without its
// host tells the other end.

import { EventEmitter } from 'node:events';
import type { HostName, Network } from './network.js';
import { currentProcess, currentScheduler, type Process } from './scheduler.js';
import type { Random } from '@gannet/test-support/random.js';

/** A host, as far as the daemons' link is concerned. */
export interface PeerHost {
  readonly name: HostName;
  readonly isPowered: boolean;
  /** Its daemon. */
  readonly process: Process | undefined;
  server: WebSocketServer | undefined;
}

/** The whole of it, of the run that is under way. */
export interface PeerNetwork {
  readonly network: Network;
  readonly random: Random;
  /** Of a daemon. */
  hostOf(process: Process): PeerHost;
  other(host: PeerHost): PeerHost;
}

let peers: PeerNetwork | undefined;

export function usePeers(network: PeerNetwork): void {
  peers = network;
}

function around(): PeerNetwork {
  if (!peers) throw new Error('no simulation runs');
  return peers;
}

const OPEN = 1;
const CLOSED = 3;

/** One end of a connection, as much of a WebSocket as a PeerLink uses. */
export class WebSocket extends EventEmitter {
  static readonly OPEN = OPEN;
  readyState = 0;
  readonly bufferedAmount = 0;
  far: WebSocket | undefined;
  readonly process: Process;
  readonly host: PeerHost;
  /** Not there yet, because the network is silent. */
  #held: (() => void)[] = [];
  #lastMs = 0;

  /** @param options none for the end of a server */
  constructor(_url: string, options: object | undefined) {
    super();
    this.process = currentProcess();
    this.host = around().hostOf(this.process);
    if (options) this.#dial();
  }

  #dial(): void {
    const time = currentScheduler();
    const { network, random } = around();
    const attempt = (): void => {
      if (this.readyState !== 0 || this.process.isDead) return;
      const server = around().other(this.host);
      if (!network.isWhole || !server.isPowered) return;
      network.off(attempt);
      const { process, server: listener } = server;
      time.after(this.process, 1 + 3 * random.next(), () => {
        if (this.readyState !== 0) return;
        if (!process || process.isDead || !listener) return this.#fail();
        this.#open(process, listener);
      });
    };
    network.on(attempt);
    attempt();
  }

  #fail(): void {
    this.readyState = CLOSED;
    this.emit('error', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    this.emit('close', 1006, '');
  }

  #open(process: Process, server: WebSocketServer): void {
    const time = currentScheduler();
    this.readyState = OPEN;
    this.process.onEnd(() => this.#vanish());
    time.after(process, 0, () => {
      const far = new WebSocket('', undefined);
      far.readyState = OPEN;
      far.far = this;
      this.far = far;
      process.onEnd(() => far.#vanish());
      server.emit('connection', far, { socket: {} });
      for (const held of this.#held.splice(0)) held();
    });
    this.emit('open');
  }

  send(text: string): void {
    this.#deliver((far) => {
      if (far.readyState === OPEN) far.emit('message', Buffer.from(text));
    });
  }

  close(code: number, reason: string): void {
    this.#end(code, reason);
  }

  terminate(): void {
    this.#end(1006, '');
  }

  #end(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    const wasOpen = this.readyState === OPEN;
    this.readyState = CLOSED;
    if (wasOpen) this.#deliver((far) => far.#closed(code, reason));
    currentScheduler().after(this.process, 0, () => this.emit('close', code, reason));
  }

  #closed(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.emit('close', code, reason);
  }

  /** Its process has ended. Without its host, nobody is left to say so. */
  #vanish(): void {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSED;
    if (this.host.isPowered) this.#deliver((far) => far.#closed(1006, ''));
  }

  #deliver(arrive: (far: WebSocket) => void): void {
    const { network, random } = around();
    const time = currentScheduler();
    const pass = (): void => {
      const { far } = this;
      if (!far) {
        this.#held.push(pass);
        return;
      }
      const slowMs = random.chance(0.02) ? 400 * random.next() : 2 * random.next();
      const atMs = Math.max(time.nowMs + slowMs, this.#lastMs + 0.001);
      this.#lastMs = atMs;
      time.after(far.process, atMs - time.nowMs, () => arrive(far));
    };
    if (network.carries(this.host.name) && this.#held.length === 0) return pass();
    if (this.#held.length === 0) network.on(this.#release);
    this.#held.push(pass);
  }

  /** Where it was silent, what was under way arrives with the next attempt to send it. */
  readonly #release = (): void => {
    const { network } = around();
    if (!network.carries(this.host.name)) return;
    network.off(this.#release);
    for (const pass of this.#held.splice(0)) pass();
  };
}

export class WebSocketServer extends EventEmitter {
  constructor() {
    super();
    around().hostOf(currentProcess()).server = this;
  }
}

/** `node:http`, as much of it as is used. */
export function createServer(): EventEmitter {
  const close = (done: () => void): void => {
    around().hostOf(currentProcess()).server = undefined;
    done();
  };
  return Object.assign(new EventEmitter(), { close, closeAllConnections: () => undefined });
}

/** Nobody else is on a simulated host. */
export function claimSocket(): Promise<{ withdraw(): Promise<void> }> {
  return Promise.resolve({ withdraw: () => Promise.resolve() });
}
