/** One page and one metrics endpoint for all VMs of a host. It asks, and changes nothing. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { hostname } from 'node:os';
import type { HttpConfig } from '@gannet/contract';
import type { Places } from '@gannet/contract/paths';
import { z } from 'zod';
import { type Asset, loadAssets } from '../daemon/http/assets.js';
import {
  bearerOf,
  type Certificate,
  type End,
  endOf,
  httpServer,
  listenOn,
  pathOf,
  readCertificate,
  refuseStray,
  type SettingNames,
  urlOf,
} from '../daemon/http/endpoint.js';
import { isToken, loadToken } from '../daemon/http/token.js';
import { hostVms } from './host-list.js';
import { hostMetrics, METRICS_TYPE } from './host-metrics.js';
import { hostPage, type HostView, shownVmSchema } from './host-page.js';

export interface HostServerOptions {
  readonly config: HttpConfig;
  readonly places: Places;
  /** For so long a daemon, or another host, may be silent. */
  readonly silenceMs: number;
  /** Pages of other hosts, which have the same token. */
  readonly peers: readonly string[];
}

/** Options of `gannet host`, for errors. */
export const OPTION_NAMES: SettingNames = {
  ...{ listen: '--listen', tokenFile: '--token-file' },
  ...{ tls: '--tls-cert and --tls-key', cert: '--tls-cert', key: '--tls-key' },
};
/** Of the JSON document; see STATUS_SCHEMA. */
const HOST_SCHEMA = 1;
const CONNECTIONS_MAX = 64;
/** What the page loads. None of it is secret. */
const OPEN_ASSETS: ReadonlySet<string> = new Set(['/page.css', '/icon.svg']);

/** What the page shows of another host, which may run another version. */
const viewSchema = z.object({ host: z.string(), vms: z.array(shownVmSchema) });

export class HostServer {
  readonly #server: Server;

  private constructor(
    private readonly options: HostServerOptions,
    private readonly assets: ReadonlyMap<string, Asset>,
    private token: string,
    private readonly certificate: Certificate | undefined,
  ) {
    this.#server = httpServer(certificate);
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, endOf(request, response));
    });
  }

  /** @throws GannetError GANNET_CONFIG if the token, certificate or address cannot be used */
  static async listen(options: HostServerOptions): Promise<HostServer> {
    const { config } = options;
    const [assets, token, certificate] = await Promise.all([
      loadAssets(),
      loadToken(config.tokenFile, OPTION_NAMES.tokenFile),
      config.tls && readCertificate(config.tls, OPTION_NAMES),
    ]);
    const server = new HostServer(options, assets, token, certificate);
    await listenOn(server.#server, config.listen, OPTION_NAMES);
    return server;
  }

  get url(): string {
    return urlOf(this.#server, this.certificate !== undefined);
  }

  /**
   * Reads the token and the certificate again.
   *
   * @throws GannetError GANNET_CONFIG if they cannot be used: then nothing changes
   */
  async reload(): Promise<void> {
    const { tokenFile, tls } = this.options.config;
    const [token, certificate] = await Promise.all([
      loadToken(tokenFile, OPTION_NAMES.tokenFile),
      tls && readCertificate(tls, OPTION_NAMES),
    ]);
    const server = this.#server;
    if (certificate && server instanceof TlsServer) server.setSecureContext(certificate);
    this.token = token;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, end: End): Promise<void> {
    const path = pathOf(request);
    if (refuseStray(request, this.options.config.hosts, 'name it with --allow-name', end)) return;
    const asset = OPEN_ASSETS.has(path) ? this.assets.get(path) : undefined;
    if (asset) return end(200, asset.body.toString('utf8'), { 'Content-Type': asset.type });
    if (!isToken(tokenOf(request), this.token)) return end(401, WHO, CHALLENGES[path]);
    const fresh = { 'Cache-Control': 'no-store' };
    const { places, silenceMs } = this.options;
    try {
      if (path === '/') {
        const page = hostPage(await this.#hosts(), new Date().toISOString());
        return end(200, page, { ...fresh, 'Content-Type': 'text/html; charset=utf-8' });
      }
      if (path === '/vms.json') {
        const json = JSON.stringify(await this.#own());
        return end(200, json, { ...fresh, 'Content-Type': 'application/json' });
      }
      if (path !== '/metrics') return end(404, 'Not found.');
      const text = await hostMetrics(places, silenceMs);
      end(200, text.trimEnd(), { ...fresh, 'Content-Type': METRICS_TYPE });
    } catch (error) {
      end(500, (error as Error).message);
    }
  }

  async #own(): Promise<{ schema: number } & HostView> {
    const { places, silenceMs } = this.options;
    return { schema: HOST_SCHEMA, host: hostname(), vms: await hostVms(places, silenceMs) };
  }

  async #hosts(): Promise<HostView[]> {
    const { peers } = this.options;
    return Promise.all([this.#own(), ...peers.map((url) => this.#peer(url))]);
  }

  async #peer(url: string): Promise<HostView> {
    try {
      const response = await fetch(new URL('vms.json', url), {
        headers: { Authorization: `Bearer ${this.token}` },
        redirect: 'error',
        signal: AbortSignal.timeout(2 * this.options.silenceMs),
      });
      if (response.status === 401) throw new Error('it has another token than this host');
      if (!response.ok) throw new Error(`it answers with status ${response.status}`);
      const { host, vms } = viewSchema.parse(await response.json());
      return { host, url, vms };
    } catch (error) {
      const { message, cause } = error as Error & { readonly cause?: Error };
      const why = cause?.message ?? message;
      return { host: new URL(url).host, url, vms: [], trouble: `Nothing is known: ${why}` };
    }
  }
}

const WHO = 'The token in --token-file is required: as a bearer token, or as the password.';
/** A browser asks its user for the token; other programs are told how it is passed. */
const CHALLENGES: Readonly<Record<string, Record<string, string>>> = {
  '/': { 'WWW-Authenticate': 'Basic realm="gannet: any name, the token", charset="UTF-8"' },
  '/metrics': { 'WWW-Authenticate': 'Bearer realm="gannet"' },
  '/vms.json': { 'WWW-Authenticate': 'Bearer realm="gannet"' },
};

/** As a bearer token, or as the password of any user. */
function tokenOf(request: IncomingMessage): string | undefined {
  const [, basic = ''] = /^Basic +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const [, password] = /^[^:]*:(.*)$/s.exec(Buffer.from(basic, 'base64').toString('utf8')) ?? [];
  return bearerOf(request) ?? password;
}
