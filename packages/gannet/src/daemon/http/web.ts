import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import {
  type ControlMethod,
  type DaemonEvent,
  type HttpConfig,
  isLoopback,
  type MethodName,
  textOf,
} from '@gannet/contract';
import { RpcConnections } from '../control/rpc-connection.js';
import { type CertificateExpiry, expiryOf } from '../../certificate-expiry.js';
import type { Metrics } from '../metrics/metrics.js';
import { type Asset, loadAssets } from './assets.js';
import {
  bearerOf,
  type Certificate,
  type End,
  endOf,
  httpServer,
  KEYS,
  listenOn,
  pathOf,
  readCertificate,
  refuseStray,
  urlOf,
} from './endpoint.js';
import { isOurHost, isOurOrigin, SAFE_HEADERS } from './guard.js';
import { isToken, loadToken } from './token.js';

/** What a browser may call. Its parameters are ignored, so nothing is ever forced from there. */
const READS = ['status', 'events'] as const satisfies readonly MethodName[];
const ACTIONS = [
  'protect',
  'reprotect',
  'checkpoint',
  'move',
  'failover',
  'detach',
] as const satisfies readonly MethodName[];
const PAGE_MESSAGE_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 64;
const AUTHENTICATE_MS = 5000;
const PING_MS = 20_000;
/** Close code "the token is wrong"; from the range for private use (RFC 6455, section 7.4.2). */
export const CLOSE_NOT_AUTHENTICATED = 4401;

const authenticateSchema = z.object({
  id: z.number(),
  method: z.literal('authenticate'),
  params: z.object({ token: z.string() }),
});

export interface WebOptions {
  readonly config: HttpConfig;
  readonly methods: Readonly<Record<string, ControlMethod>>;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/**
 * The daemon over HTTP: the web page, its WebSocket, and metrics. The page itself is public. The
 * first message of its WebSocket is the token, which therefore appears in no URL, cookie or log.
 * Metrics require it as a bearer token.
 */
export class Web {
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: PAGE_MESSAGE_BYTES_MAX });
  readonly #connections: RpcConnections;
  readonly #metrics: WebOptions['metrics'];
  readonly #pings: NodeJS.Timeout;

  private constructor(
    private readonly config: HttpConfig,
    private readonly assets: ReadonlyMap<string, Asset>,
    private token: string,
    private certificate: Certificate | undefined,
    server: Server,
    { methods, metrics }: WebOptions,
  ) {
    this.#connections = new RpcConnections(offered(methods));
    this.#metrics = metrics;
    this.#server = server;
    server.maxConnections = CONNECTIONS_MAX;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response);
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#upgrade(request, socket, head);
    });
    this.#pings = setInterval(() => this.#ping(), PING_MS);
  }

  /** @throws GannetError GANNET_CONFIG if the token, certificate or address cannot be used */
  static async listen(options: WebOptions): Promise<Web> {
    const { config } = options;
    const [assets, token, certificate] = await Promise.all([
      loadAssets(),
      loadToken(config.tokenFile),
      config.tls && readCertificate(config.tls, KEYS),
    ]);
    const web = new Web(config, assets, token, certificate, httpServer(certificate), options);
    try {
      await listenOn(web.#server, config.listen, KEYS);
    } catch (error) {
      clearInterval(web.#pings);
      throw error;
    }
    return web;
  }

  get expiries(): readonly CertificateExpiry[] {
    return this.certificate ? [expiryOf('page', this.certificate.cert)] : [];
  }

  /** URL of the page, without the token. */
  get url(): string {
    return this.#urlAt();
  }

  /** URL for other hosts; undefined if they cannot reach this one. */
  get sharedUrl(): string | undefined {
    const address = (this.#server.address() as AddressInfo | null)?.address;
    if (address === undefined || isLoopback(address)) return undefined;
    return this.#urlAt(this.config.hosts[0] ?? (isEveryAddress(address) ? hostname() : address));
  }

  /** URL of the page with the token in its fragment, which browsers never send. */
  get pageUrl(): string {
    return `${this.url}#token=${this.token}`;
  }

  /**
   * Reads the token and the certificate again.
   *
   * @returns puts them into use. Whoever came in with another token must show the new one.
   * @throws GannetError GANNET_CONFIG if they cannot be used
   */
  async renewal(): Promise<() => void> {
    const { tokenFile, tls } = this.config;
    const [token, certificate] = await Promise.all([
      loadToken(tokenFile),
      tls && readCertificate(tls, KEYS),
    ]);
    return () => {
      const server = this.#server;
      if (certificate && server instanceof TlsServer) server.setSecureContext(certificate);
      this.certificate = certificate;
      if (token === this.token) return;
      this.token = token;
      for (const socket of this.#sockets.clients) refuse(socket);
    };
  }

  #urlAt(host?: string): string {
    return urlOf(this.#server, this.config.tls !== undefined, host);
  }

  publish(event: DaemonEvent): void {
    this.#connections.publish(event);
  }

  async close(): Promise<void> {
    clearInterval(this.#pings);
    for (const socket of this.#sockets.clients) socket.terminate();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    const end = endOf(request, response);
    const hint = 'add it to `http.hosts` in the configuration';
    if (refuseStray(request, this.config.hosts, hint, end)) return;
    if (path === '/metrics') return this.#sendMetrics(request, end);
    const asset = this.assets.get(path);
    if (!asset) return end(404, 'Not found.');
    const { type, body } = asset;
    const common = { 'Content-Type': type, 'Content-Length': body.length };
    response.writeHead(200, { ...SAFE_HEADERS, ...common, 'Cache-Control': 'no-cache' });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #sendMetrics(request: IncomingMessage, end: End): Promise<void> {
    if (!isToken(bearerOf(request), this.token)) {
      const how =
        'Metrics require the token in `http.tokenFile`: ' +
        'set authorization.credentials_file in the scrape configuration of Prometheus.';
      return end(401, how, { 'WWW-Authenticate': 'Bearer realm="gannet"' });
    }
    try {
      const text = await this.#metrics.text();
      end(200, text.trimEnd(), {
        'Content-Type': this.#metrics.contentType,
        'Cache-Control': 'no-store',
      });
    } catch (error) {
      end(500, (error as Error).message);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { host = '', origin } = request.headers;
    const isOurs =
      request.url === '/ws' &&
      isOurHost(host, this.config.hosts) &&
      isOurOrigin(origin, host, this.config.tls !== undefined);
    if (!isOurs) {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) =>
      this.#authenticate(opened, request.socket.remoteAddress),
    );
  }

  /** The first message must be the token. */
  #authenticate(socket: WebSocket, address = 'an address that has gone'): void {
    const late = setTimeout(() => refuse(socket), AUTHENTICATE_MS);
    socket.on('error', () => socket.terminate());
    socket.once('close', () => clearTimeout(late));
    socket.once('message', (data: RawData) => {
      clearTimeout(late);
      const asked = parse(textOf(data));
      if (!asked || !isToken(asked.params.token, this.token)) return refuse(socket);
      this.#connections.serve(socket, `the web page, from ${address}`);
      socket.send(JSON.stringify({ id: asked.id, result: {} }));
    });
    socket.on('pong', () => this.#quiet.delete(socket));
  }

  /** Sockets that have not answered the last ping yet. */
  readonly #quiet = new Set<WebSocket>();

  #ping(): void {
    for (const socket of this.#sockets.clients) {
      if (this.#quiet.delete(socket)) {
        socket.terminate();
        continue;
      }
      this.#quiet.add(socket);
      socket.once('close', () => this.#quiet.delete(socket));
      socket.ping();
    }
  }
}

function offered(methods: Readonly<Record<string, ControlMethod>>): Record<string, ControlMethod> {
  const names = [...READS, ...ACTIONS];
  return Object.fromEntries(
    names.map((name): [string, ControlMethod] => [
      name,
      (_params, progress, actor) => methods[name]?.({}, progress, actor),
    ]),
  );
}

function isEveryAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function parse(text: string): z.output<typeof authenticateSchema> | undefined {
  try {
    return authenticateSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function refuse(socket: WebSocket): void {
  socket.close(CLOSE_NOT_AUTHENTICATED, 'the token is wrong');
}
