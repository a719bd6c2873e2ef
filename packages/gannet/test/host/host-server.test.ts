/** The page and the metrics of a host, as browsers, Prometheus and other hosts see them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Places } from '@gannet/contract/paths';
import { ControlServer } from '../../src/daemon/control/control-server.js';
import { Metrics } from '../../src/daemon/metrics/metrics.js';
import { HostServer } from '../../src/host/host-server.js';
import { serveHost } from '../../src/host/serve-host.js';
import { judged, PRIMARY, SECONDARY } from '../support/statuses.js';

/** Long: a loaded machine answers late. Nothing here waits for it. */
const SILENCE_MS = 10_000;

let dir: string;
let places: Places;
const undo: (() => unknown)[] = [];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-host-'));
  places = { configDir: `${dir}/etc`, stateDir: `${dir}/lib`, runDir: `${dir}/run` };
  for (const folder of Object.values(places)) await mkdir(folder as string);
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await rm(dir, { recursive: true, force: true });
});

/** A VM with a daemon, or without one. */
async function vm(name: string, status?: typeof PRIMARY | typeof SECONDARY): Promise<void> {
  const file = path.join(places.configDir, `${name}.yaml`);
  await writeFile(file, `vm: ${name}\n`, { mode: 0o600 });
  if (!status) return;
  const mine = judged({ ...status, vm: name });
  const metrics = new Metrics({
    ...{ vm: name, certificates: () => [] },
    status: () => Promise.resolve(mine),
  });
  const server = await ControlServer.listen(path.join(places.runDir, `${name}.sock`), {
    status: () => mine,
    metrics: async () => ({ text: await metrics.text() }),
  });
  undo.push(() => server.close());
}

async function serve(
  peers: readonly string[] = [],
): Promise<{ server: HostServer; token: string }> {
  const listen = { type: 'inet', host: '127.0.0.1', port: 0 } as const;
  const config = { listen, tokenFile: path.join(dir, 'token'), hosts: [] };
  const server = await HostServer.listen({ config, places, silenceMs: SILENCE_MS, peers });
  undo.push(() => server.close());
  return { server, token: (await readFile(config.tokenFile, 'utf8')).trim() };
}

async function get(url: string, authorization?: string) {
  const headers = authorization === undefined ? {} : { Authorization: authorization };
  const response = await fetch(url, { headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const basic = (token: string): string =>
  `Basic ${Buffer.from(`anybody:${token}`).toString('base64')}`;

describe('the page', () => {
  test('a row for each VM, what is the matter, and what to do', async () => {
    await vm('web', SECONDARY);
    await vm('db');
    const { server, token } = await serve();
    const { status, text, headers } = await get(server.url, basic(token));
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('text/html');
    expect(text).toContain('<title>2 VMs, 1 not well - Gannet</title>');
    expect(text).toMatch(/<th scope="row" class="good">✓ web<\/th><td>secondary<\/td>/);
    expect(text).toMatch(/<th scope="row" class="bad">✕ db<\/th>.*daemon/);
    expect(text).toContain('class="remedy"');
  });

  test('no VM at all', async () => {
    const { server, token } = await serve();
    const { text } = await get(server.url, basic(token));
    expect(text).toContain('0 VMs');
    expect(text).toContain('No VM is configured here.');
  });

  test('what a daemon says is text, not HTML', async () => {
    await vm('web', { ...PRIMARY, state: '<script>' as (typeof PRIMARY)['state'] });
    const { server, token } = await serve();
    const { text } = await get(server.url, basic(token));
    expect(text).not.toContain('<script');
    expect(text).toContain('&#60;script&#62;');
  });

  test('the VMs of other hosts, with a link to their page', async () => {
    await vm('web', PRIMARY);
    const other = await serve();
    const gone = await serve();
    const { url } = gone.server;
    await gone.server.close();
    const { server, token } = await serve([other.server.url, url]);
    const { text } = await get(server.url, basic(token));
    expect(text).toContain('<title>2 VMs, all well, 1 host does not answer - Gannet</title>');
    expect(text).toContain(`<a href="${other.server.url}">${hostname()}</a>`);
    expect(text).toMatch(/Nothing is known: .*ECONNREFUSED/);
  });

  test('another host with another token says so', async () => {
    const other = await serve();
    await writeFile(path.join(dir, 'token'), `${'x'.repeat(40)}\n`);
    const { server, token } = await serve([other.server.url]);
    const { text } = await get(server.url, basic(token));
    expect(text).toContain('Nothing is known: it has another token than this host');
  });
});

describe('metrics', () => {
  test('of all daemons, each metric once; a daemon that is silent is down', async () => {
    await vm('web', PRIMARY);
    await vm('mail', SECONDARY);
    await vm('db');
    const { server, token } = await serve();
    const { status, text } = await get(`${server.url}metrics`, `Bearer ${token}`);
    expect(status).toBe(200);
    expect(text).toContain('gannet_daemon_up{vm="web"} 1\n');
    expect(text).toContain('gannet_daemon_up{vm="mail"} 1\n');
    expect(text).toContain('gannet_daemon_up{vm="db"} 0\n');
    expect(text).toMatch(/^gannet_protected\{vm="web",role="primary"\} 1$/m);
    expect(text).toMatch(/^gannet_protected\{vm="mail",role="secondary"\} 1$/m);
    const heads = text.match(/^# (HELP|TYPE) \S+/gm) ?? [];
    expect(new Set(heads).size).toBe(heads.length);
  });
});

describe('who may ask', () => {
  test.each([
    ['/', 'Basic'],
    ['/metrics', 'Bearer'],
    ['/vms.json', 'Bearer'],
  ])('%s asks for the token as %s', async (where, scheme) => {
    const { server, token } = await serve();
    const url = new URL(where, server.url).href;
    for (const wrong of [undefined, 'Bearer nonsense', basic('nonsense'), basic(''), 'Basic !']) {
      const { status, headers } = await get(url, wrong);
      expect(status).toBe(401);
      expect(headers.get('www-authenticate')).toContain(scheme);
    }
    for (const right of [`Bearer ${token}`, basic(token)]) {
      expect((await get(url, right)).status).toBe(200);
    }
  });

  test('the style sheet is open, the script of the other page is not there', async () => {
    const { server, token } = await serve();
    expect((await get(`${server.url}page.css`)).status).toBe(200);
    expect((await get(`${server.url}page/main.js`, `Bearer ${token}`)).status).toBe(404);
  });

  test('nothing can be changed', async () => {
    const { server, token } = await serve();
    const headers = { Authorization: `Bearer ${token}` };
    expect((await fetch(server.url, { method: 'POST', headers })).status).toBe(405);
  });

  test('a token that has changed counts after reload()', async () => {
    const { server, token } = await serve();
    const fresh = 'y'.repeat(40);
    await writeFile(path.join(dir, 'token'), `${fresh}\n`);
    await server.reload();
    expect((await get(server.url, basic(token))).status).toBe(401);
    expect((await get(server.url, basic(fresh))).status).toBe(200);
    await writeFile(path.join(dir, 'token'), 'short\n');
    await expect(server.reload()).rejects.toThrow('--token-file');
    expect((await get(server.url, basic(fresh))).status).toBe(200);
  });
});

describe('options that can not be', () => {
  const listen = { type: 'inet', host: '127.0.0.1', port: 0 } as const;

  test.each([
    [{ listen: { ...listen, host: '0.0.0.0' } }, '--tls-cert and --tls-key'],
    [{ listen, tlsCert: '/c.pem' }, '--tls-key is missing'],
    [{ listen, tlsKey: '/k.pem' }, '--tls-cert is missing'],
  ])('%j', async (options, message) => {
    const run = serveHost({ timeout: 1, ...options }, AbortSignal.timeout(50), () => undefined);
    await expect(run).rejects.toThrow(message);
  });

  test('an address that is taken, and a certificate that is none', async () => {
    const { server } = await serve();
    const taken = { ...listen, port: Number(new URL(server.url).port) };
    const tokenFile = path.join(dir, 'token');
    const serving = (more: object): Promise<void> =>
      serveHost(
        { listen, tokenFile, timeout: 1, ...more },
        AbortSignal.timeout(50),
        () => undefined,
      );
    await expect(serving({ listen: taken })).rejects.toThrow('--listen: ');
    const tls = { tlsCert: tokenFile, tlsKey: tokenFile };
    await expect(serving(tls)).rejects.toThrow('--tls-cert and --tls-key: ');
  });

  test('it serves until it is told to end, and says where', async () => {
    const end = new AbortController();
    const said: string[] = [];
    const options = { listen, tokenFile: path.join(dir, 'token'), timeout: 1 };
    const run = serveHost(options, end.signal, (line) => void said.push(line));
    while (said.length === 0) await new Promise((later) => setTimeout(later, 5));
    const [, url = ''] = /serving (\S+);/.exec(said[0] ?? '') ?? [];
    expect((await get(url)).status).toBe(401);
    end.abort();
    await run;
    await expect(get(url)).rejects.toThrow();
  });
});
