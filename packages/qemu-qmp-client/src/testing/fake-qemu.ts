import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { FakePeer, type FakeReply, type FakeRequest } from './peer.js';
import { streamPair } from './stream-pair.js';

/** Answers a command; what it throws is answered as a GenericError. */
export type FakeHandler = (request: FakeRequest, peer: FakePeer) => FakeReply | Promise<FakeReply>;

export interface FakeQemuOptions {
  /** Offered in the greeting; `['oob']` by default. */
  readonly capabilities?: readonly string[];
  /** Of the QEMU that it claims to be; 7.2.0 by default. */
  readonly version?: { readonly major: number; readonly minor: number; readonly micro: number };
  /** Whether a new connection is greeted; true by default. Else script all with onConnect. */
  readonly greet?: boolean;
  /** Called with each new connection, before its greeting. */
  readonly onConnect?: (peer: FakePeer) => void;
}

/** A FakeQemu behind a unix socket. */
export interface ListeningFakeQemu {
  readonly qemu: FakeQemu;
  /** The socket: in a folder of its own, or where it was asked for. */
  readonly path: string;
  /** Hangs up on everybody, removes the socket and the folder. */
  readonly close: () => Promise<void>;
}

/**
 * QEMU's monitor for tests, in this process: greets, negotiates, and answers as scripted. A command
 * without script is answered CommandNotFound, as QEMU does; before negotiation all but
 * qmp_capabilities is.
 */
export class FakeQemu {
  /** Every command received, qmp_capabilities included, in order. */
  readonly received: FakeRequest[] = [];
  readonly #options: FakeQemuOptions;
  readonly #handlers = new Map<string, FakeHandler>();
  readonly #once = new Map<string, FakeHandler[]>();
  readonly #negotiated = new WeakSet<FakePeer>();
  readonly #peers = new Set<FakePeer>();
  readonly #waiters: { readonly command: string; readonly resolve: (r: FakeRequest) => void }[] =
    [];

  constructor(options: FakeQemuOptions = {}) {
    this.#options = options;
  }

  /** A stream for `{ kind: 'stream', stream }`, with this QEMU at its other end. */
  connect(): Duplex {
    const [ours, theirs] = streamPair();
    this.accept(ours);
    return theirs;
  }

  /**
   * Listens on a unix socket, by default in a new folder below the system's for temporary files.
   */
  static async listen(
    options: FakeQemuOptions & { readonly path?: string } = {},
  ): Promise<ListeningFakeQemu> {
    const qemu = new FakeQemu(options);
    const folder = options.path === undefined ? await mkdtemp(join(tmpdir(), 'fake-qemu-')) : '';
    const path = options.path ?? join(folder, 'qmp.sock');
    const server = createServer((socket) => void qemu.accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    const close = async (): Promise<void> => {
      await Promise.all([qemu.drop(), stopListening(server)]);
      if (folder !== '') await rm(folder, { recursive: true });
    };
    return { qemu, path, close };
  }

  /** Speaks on a stream that somebody else made. */
  accept(stream: Duplex): FakePeer {
    const peer = new FakePeer(stream, (request) => void this.#answer(request, peer));
    this.#peers.add(peer);
    void peer.closed.then(() => this.#peers.delete(peer));
    this.#options.onConnect?.(peer);
    if (this.#options.greet !== false) this.greet(peer);
    return peer;
  }

  /** Connections at present, the oldest first. */
  get peers(): readonly FakePeer[] {
    return [...this.#peers];
  }

  /** Answers `command` so from now on. */
  on(command: string, handler: FakeHandler): this {
    this.#handlers.set(command, handler);
    return this;
  }

  /** Returns `value` for `command` from now on. */
  reply(command: string, value: unknown = {}): this {
    return this.on(command, () => ({ return: value }));
  }

  /** Answers `command` so once, before anything said by on(); several are used up in order. */
  once(command: string, handler: FakeHandler): this {
    const handlers = this.#once.get(command) ?? [];
    this.#once.set(command, [...handlers, handler]);
    return this;
  }

  /** Sends an event to everybody who has negotiated. */
  emit(event: string, data?: object): void {
    for (const peer of this.#peers) {
      if (this.#negotiated.has(peer)) peer.emit(event, data);
    }
  }

  /** Resolves with the next command of that name. */
  nextRequest(command: string): Promise<FakeRequest> {
    return new Promise((resolve) => this.#waiters.push({ command, resolve }));
  }

  /** Sends the greeting. */
  greet(peer: FakePeer): void {
    const { capabilities = ['oob'], version = { major: 7, minor: 2, micro: 0 } } = this.#options;
    peer.send({ QMP: { version: { qemu: version, package: '' }, capabilities } });
  }

  /** Hangs up on everybody. */
  async drop(): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.drop()));
  }

  async #answer(request: FakeRequest, peer: FakePeer): Promise<void> {
    this.received.push(request);
    const index = this.#waiters.findIndex(({ command }) => command === request.command);
    if (index !== -1) this.#waiters.splice(index, 1)[0]?.resolve(request);
    const scripted =
      this.#once.get(request.command)?.shift() ?? this.#handlers.get(request.command);
    const handler = scripted ?? ((): FakeReply => this.#unscripted(request, peer));
    let reply: FakeReply;
    try {
      // Not awaited unless it must be: scripted answers keep the order of the commands.
      const made = handler(request, peer);
      reply = made instanceof Promise ? await made : made;
    } catch (error) {
      reply = { error: { class: 'GenericError', desc: String(error) } };
    }
    peer.answer(request, reply);
  }

  #unscripted({ command }: FakeRequest, peer: FakePeer): FakeReply {
    if (command === 'qmp_capabilities' && !this.#negotiated.has(peer)) {
      this.#negotiated.add(peer);
      return { return: {} };
    }
    const desc = this.#negotiated.has(peer)
      ? `The command ${command} has not been found`
      : "Expecting capabilities negotiation with 'qmp_capabilities'";
    return { error: { class: 'CommandNotFound', desc } };
  }
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
