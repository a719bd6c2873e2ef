import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSslReason, type UnixSocketPath } from '@gannet/nbd';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type Address,
  type AuditQuestion,
  describeError,
  GannetError,
  PEER_MESSAGE_BYTES_MAX,
  PEER_PROTOCOL,
  type PeerMessage,
  peerMessageSchema,
  type PeerStatus,
} from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { claimSocket, type SocketClaim } from '../claim-socket.js';
import { SuspendAwareTimer } from '../suspend-aware-timer.js';
import { bootMs, MessageAge } from './message-age.js';
import { PeerQuestions, unanswered } from './peer-questions.js';
import { PendingPeers } from './pending-peers.js';
import { PeerLiveness, type LivenessLimits, type LivenessState } from './peer-liveness.js';

export interface PeerLinkOptions extends LivenessLimits {
  readonly vm: string;
  readonly role: PeerStatus['role'];
  readonly heartbeatMs: number;
  /** The state of this end, for the next heartbeat. */
  readonly status: () => PeerStatus;
  readonly onLiveness: (state: LivenessState, silentMs: number) => void;
  /** A heartbeat has come; `before` is the status in the one before it. */
  readonly onStatus: (status: PeerStatus, before: PeerStatus | undefined) => void;
  /** The report of this side, for `gannet check` on the other, or the answer to a question. */
  readonly onAsk: (question?: AuditQuestion) => Promise<unknown>;
  /** A connection was refused: for the log. */
  readonly onRefused: (reason: string, address: string) => void;
  /** For an address with TLS. */
  readonly credentials?: Credentials | undefined;
}

const RECONNECT_MS = 200;
/** Whoever answers is not the peer: that changes when an operator changes it. */
const RECONNECT_REFUSED_MS = 2000;
/** WebSocket close code of a connection that is refused (RFC 6455, section 7.4.1). */
const CLOSE_REFUSED = 1008;
/** Time limit for a new connection, TLS included. TCP alone would try for minutes. */
const CONNECT_MS_MIN = 1000;
const CONNECT_POLL_MS = 20;
/** A question waits so long for a peer that is not connected: some attempts to connect. */
const AWAY_MS = 2000;
/** Until the answer. The peer asks its QEMU, which has 10 s. */
const ANSWER_MS = 15_000;
const CHECKS_PER_LIMIT = 10;

const CLAIM: SocketClaim = {
  key: 'secondary.peer',
  inUse: (path) => [
    `the peer link cannot listen on ${path}: another server answers there`,
    'Set `secondary.peer` to a path that nothing else uses, or end that process.',
  ],
};

/**
 * One end of the link between two daemons. The secondary listens; the primary connects, and
 * connects again whenever the connection has ended.
 */
export class PeerLink {
  readonly #liveness: PeerLiveness;
  readonly #age: MessageAge;
  readonly #timers: readonly NodeJS.Timeout[];
  #redial: NodeJS.Timeout | undefined;
  readonly #questions = new PeerQuestions();
  #socket: WebSocket | undefined;
  #peerAddress: string | undefined;
  #server: Server | TlsServer | undefined;
  #path: UnixSocketPath | undefined;
  readonly #pending: PendingPeers;
  #last: PeerStatus | undefined;
  #refusal: string | undefined;
  #isClosed = false;
  #isBeatDue = false;

  private constructor(private readonly options: PeerLinkOptions) {
    this.#pending = new PendingPeers(options.highMs, (address, reason) => {
      options.onRefused(reason, address);
    });
    this.#liveness = new PeerLiveness(options, options.onLiveness);
    this.#age = new MessageAge(options);
    this.#timers = [
      setInterval(() => this.#beat(), options.heartbeatMs),
      setInterval(() => this.#liveness.check(performance.now()), options.lowMs / CHECKS_PER_LIMIT),
    ];
  }

  /** @throws GannetError GANNET_CONFIG if it cannot listen on the address */
  static async listen(address: Address, options: PeerLinkOptions): Promise<PeerLink> {
    const link = new PeerLink(options);
    try {
      await link.#listen(address);
    } catch (error) {
      await link.close();
      throw error;
    }
    return link;
  }

  /** Connects and reconnects until it is closed. The other end may start later. */
  static dial(address: Address, options: PeerLinkOptions): PeerLink {
    const link = new PeerLink(options);
    link.#dial(address);
    return link;
  }

  get state(): LivenessState {
    return this.#liveness.state;
  }

  /** Why whoever answers now is not the peer; undefined if nobody answers, or the peer does. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** From where the other end last connected to this one, over TCP. */
  get peerAddress(): string | undefined {
    return this.#peerAddress;
  }

  /** The last status of the other end, and its age; undefined before the first. */
  get peer(): { readonly status: PeerStatus; readonly silentMs: number } | undefined {
    if (!this.#last) return undefined;
    return { status: this.#last, silentMs: Math.round(this.#liveness.silentMs(performance.now())) };
  }

  /**
   * Asks the other daemon a question, or for its `inspect` report. One deadline covers connecting
   * and answering; a peer that is away is given up much sooner.
   *
   * @throws GannetError GANNET_PEER_UNREACHABLE if there is no link, or no answer in time
   * @throws GannetError GANNET_PEER_FAILED if the other daemon answers with an error
   */
  async ask(question?: AuditQuestion): Promise<unknown> {
    const startMs = performance.now();
    await this.#connected();
    const leftMs = ANSWER_MS - (performance.now() - startMs);
    return this.#questions.ask((message) => this.#send(message), leftMs, question);
  }

  /**
   * Something has changed: sends a heartbeat before anything else is awaited. It tells what came of
   * the whole change. What is half done might be taken for the end of it: a QEMU that hangs, and is
   * about to be freed, for one that hangs for good.
   */
  beatNow(): void {
    if (this.#isBeatDue) return;
    this.#isBeatDue = true;
    queueMicrotask(() => {
      this.#isBeatDue = false;
      if (!this.#isClosed) this.#beat();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#redial);
    this.#socket?.terminate();
    this.#pending.close();
    const server = this.#server;
    if (!server) return;
    await this.#path?.withdraw();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  async #listen(address: Address): Promise<void> {
    const http = this.#makeServer(address);
    this.#server = http;
    http.on('connection', (socket: Socket) => this.#pending.receive(socket));
    const sockets = new WebSocketServer({
      server: http,
      maxPayload: PEER_MESSAGE_BYTES_MAX,
      verifyClient: ({ req }: { req: IncomingMessage }) => this.#isNoBrowser(req),
    });
    sockets.on('error', () => undefined);
    sockets.on('connection', (socket, request: IncomingMessage) => this.#admit(socket, request));
    if (address.type === 'unix') {
      this.#path = await claimSocket(http, address.path, CLAIM);
      return;
    }
    try {
      await new Promise<void>((resolve, reject) => {
        http.once('error', reject);
        http.listen(address.port, address.host, resolve);
      });
    } catch (cause) {
      const message = `the peer link cannot listen: ${(cause as Error).message}`;
      const remedy = 'Set `secondary.peer` to an address or path that this host can listen on.';
      throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
    }
  }

  #makeServer(address: Address): Server | TlsServer {
    const { credentials } = this.options;
    if (address.type === 'unix' || !address.tls) {
      return createServer((_request, response) => response.writeHead(426).end());
    }
    const options = credentials?.server() ?? {};
    const server = createTlsServer(options, (_request, response) => response.writeHead(426).end());
    server.on('tlsClientError', (error, socket) => {
      // If the connection has gone, PendingPeers reports it, with the address.
      if (socket.remoteAddress === undefined) return;
      this.#pending.accept(socket);
      const from = `${socket.remoteAddress}:${socket.remotePort}`;
      this.options.onRefused(`no TLS: ${openSslReason(error)}`, from);
    });
    credentials?.onReload(() => server.setSecureContext(credentials.server()));
    return server;
  }

  /** Browsers always send an Origin with a WebSocket; daemons never do. */
  #isNoBrowser({ headers: { origin }, socket }: IncomingMessage): boolean {
    if (origin === undefined) return true;
    this.#pending.accept(socket);
    const from = `${socket.remoteAddress}:${socket.remotePort}`;
    this.options.onRefused(`it comes from a web page of ${origin.slice(0, 200)}`, from);
    return false;
  }

  /** With TLS, the name in the certificate must be in `tls.clients`. */
  #admit(socket: WebSocket, { socket: connection }: IncomingMessage): void {
    const { credentials, onRefused } = this.options;
    const from = `${connection.remoteAddress}:${connection.remotePort}`;
    if (credentials && 'encrypted' in connection) {
      try {
        credentials.identify(connection as TLSSocket);
      } catch (error) {
        onRefused(describeError(error).message, from);
        socket.terminate();
        return;
      }
    }
    this.#adopt(socket, from, () => {
      this.#pending.accept(connection);
      this.#peerAddress = connection.remoteAddress;
    });
  }

  #dial(address: Address): void {
    if (this.#isClosed) return;
    let socket: WebSocket;
    try {
      socket = new WebSocket(urlOf(address), {
        ...(address.type === 'inet' && address.tls ? this.options.credentials?.client() : {}),
        maxPayload: PEER_MESSAGE_BYTES_MAX,
      });
    } catch (error) {
      this.#noteRefusal(error, address);
      this.#dialLater(address);
      return;
    }
    const { lowMs, highMs } = this.options;
    const patienceMs = Math.min(highMs, Math.max(lowMs, CONNECT_MS_MIN));
    // That of `ws` is over before a process that is slow has read the answer.
    const late = new SuspendAwareTimer(patienceMs, () => socket.terminate());
    socket.once('open', () => {
      late.stop();
      this.#watchSilence(socket);
      this.#adopt(socket, textOf(address));
    });
    socket.on('error', (error) => this.#noteRefusal(error, address));
    socket.once('close', (code, reason) => {
      late.stop();
      if (code === CLOSE_REFUSED) this.#refusal ??= `it refuses this daemon: ${String(reason)}`;
      this.#dialLater(address);
    });
  }

  #dialLater(address: Address): void {
    if (this.#isClosed) return;
    const patientMs = Math.min(RECONNECT_REFUSED_MS, this.options.highMs / 2);
    const ms = this.#refusal === undefined ? RECONNECT_MS : patientMs;
    this.#redial = setTimeout(() => this.#dial(address), ms);
  }

  /**
   * After a network failure, TCP retransmits with growing pauses, so an old connection may stay
   * silent long after the network works again. A new connection works at once. So a silent
   * connection is closed; later and later, as the other end may be slow.
   */
  #watchSilence(socket: WebSocket): void {
    const start = (): SuspendAwareTimer =>
      new SuspendAwareTimer(this.#age.patienceMs, () => {
        this.#age.failed(bootMs());
        socket.terminate();
      });
    let timer = start();
    socket.on('message', () => {
      timer.stop();
      timer = start();
    });
    socket.once('close', () => timer.stop());
  }

  /**
   * The newest connection becomes the link: the peer may have reconnected before this end noticed
   * that the older one broke.
   */
  #adopt(socket: WebSocket, from: string, onPeer: () => void = () => undefined): void {
    let isPeer = false;
    const isOld = this.#age.watch(bootMs());
    socket.on('error', () => socket.terminate());
    socket.once('close', () => {
      if (this.#socket === socket) this.#questions.cancel('the peer link broke');
    });
    socket.on('message', (data: Buffer) => {
      const message = decode(data);
      // One that is only silent stays: it may carry what goes the other way.
      if (message && isOld(bootMs(), message.type === 'hello')) {
        if (this.#socket === socket) this.#liveness.stirred(performance.now());
        return socket.terminate();
      }
      if (message?.type === 'hello') {
        isPeer = this.#greet(socket, message, from);
        if (isPeer) onPeer();
      } else if (!message || !isPeer)
        this.#refuse(socket, 'it does not use the peer protocol', from);
      else this.#take(message);
    });
    const { vm, role } = this.options;
    const hello: PeerMessage = { type: 'hello', protocol: PEER_PROTOCOL, vm, role };
    socket.send(JSON.stringify(hello));
  }

  #greet(socket: WebSocket, hello: PeerMessage & { type: 'hello' }, from: string): boolean {
    const { vm, role } = this.options;
    if (hello.protocol !== PEER_PROTOCOL) {
      const reason = `it uses peer protocol ${hello.protocol}, this daemon ${PEER_PROTOCOL}`;
      this.#refuse(socket, reason, from);
    } else if (hello.vm !== vm) {
      this.#refuse(socket, `it belongs to VM ${hello.vm}, this daemon to ${vm}`, from);
    } else if (hello.role === role) {
      this.#refuse(socket, `both ends are the ${role}`, from);
    } else {
      if (this.#socket !== socket) this.#socket?.terminate();
      this.#socket = socket;
      this.#refusal = undefined;
      this.#beat();
      return true;
    }
    return false;
  }

  #take(message: PeerMessage): void {
    if (message.type === 'beat') {
      const before = this.#last;
      this.#last = message.status;
      this.#liveness.heard(performance.now());
      this.options.onStatus(message.status, before);
    } else if (message.type === 'answer') {
      this.#questions.answered(message);
    } else if (message.type === 'ask') {
      const { number, question } = message;
      this.options.onAsk(question).then(
        (value) => this.#send({ type: 'answer', number, value }),
        (error: unknown) => {
          this.#send({ type: 'answer', number, value: null, error: describeError(error).message });
        },
      );
    }
  }

  /**
   * Reports a failed TLS handshake. A peer that is not there is not reported: it may start later.
   */
  #noteRefusal(error: unknown, address: Address): void {
    const { code } = error as NodeJS.ErrnoException;
    const isSecured = address.type === 'inet' && address.tls === true;
    this.#refusal = undefined;
    if (!isSecured || code === 'ECONNREFUSED' || code === 'ETIMEDOUT') return;
    this.#refusal = `no TLS: ${openSslReason(error)}`;
    this.options.onRefused(this.#refusal, textOf(address));
  }

  #refuse(socket: WebSocket, reason: string, from: string): void {
    this.#refusal = reason;
    this.options.onRefused(reason, from);
    socket.close(CLOSE_REFUSED, reason.slice(0, 120));
  }

  async #connected(): Promise<void> {
    const deadlineMs = performance.now() + AWAY_MS;
    while (this.#socket?.readyState !== WebSocket.OPEN) {
      if (this.#refusal !== undefined) throw unanswered(this.#refusal);
      if (performance.now() > deadlineMs) throw unanswered(`no peer link in ${AWAY_MS / 1000} s`);
      await sleep(CONNECT_POLL_MS);
    }
  }

  #beat(): void {
    this.#send({ type: 'beat', status: this.options.status() });
  }

  #send(message: PeerMessage): void {
    const socket = this.#socket;
    // Nothing is queued for a peer that does not read: the next heartbeat replaces this one.
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > PEER_MESSAGE_BYTES_MAX) socket.terminate();
    else socket.send(JSON.stringify(message));
  }
}

function textOf(address: Address): string {
  return address.type === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

function urlOf(address: Address): string {
  if (address.type === 'unix') return `ws+unix:${address.path}:/`;
  const { host, port, tls } = address;
  return `${tls ? 'wss' : 'ws'}://${host.includes(':') ? `[${host}]` : host}:${port}/`;
}

function decode(data: Buffer): PeerMessage | undefined {
  try {
    return peerMessageSchema.parse(JSON.parse(data.toString('utf8')));
  } catch {
    return undefined;
  }
}
