/** The daemon over HTTP, as browsers, Prometheus and those who are neither see it. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import {
  type ControlMethod,
  GannetError,
  type HttpConfig,
  parseConfig,
  type SecondaryStatus,
  type Status,
  STATUS_SCHEMA,
} from '@gannet/contract';
import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { loadAssets } from '../../../src/daemon/http/assets.js';
import { isOurHost } from '../../../src/daemon/http/guard.js';
import { Web } from '../../../src/daemon/http/web.js';
import { Metrics } from '../../../src/daemon/metrics/metrics.js';

const HEALTH: Status['health'] = {
  ...({ code: 'protected', level: 'good', headline: 'Protected', guest: 'primary' } as const),
  ...{ remedy: '', since: '2026-01-01T00:00:00.000Z' },
};
const STATUS: SecondaryStatus = {
  health: HEALTH,
  record: BLANK,
  ...{
    schema: STATUS_SCHEMA,
    role: 'secondary',
    vm: 'web',
    host: 'b',
    heartbeatMs: 500,
    state: 'protected',
  },
  ...{ reason: 'COLO has started', mayFailOver: true, epoch: 7, secondaryVm: 'ready' },
  ...{
    secondaryVmTrouble: null,
    linkState: 'whole',
    linkLoss: null,
    link: 'connected',
    coloExit: null,
    baseTrouble: null,
  },
  ...{ checkpoints: 7, lastCheckpoint: null, exports: ['pvm', 'svm'], uuid: 'u' },
  buffers: {
    ...{ primary: 4096, secondary: 8192, committed: 0 },
    ...{ softBytes: 100, hardBytes: 200, slowedWrites: 0 },
  },
  disks: [{ name: 'disk0', sizeBytes: 1, epochsToWriteBack: 0, backlogBytes: 5, requests: 9 }],
  peer: { pulse: 'up', silentMs: 40 },
};

const undo: (() => unknown)[] = [];
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-web-'));
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await rm(dir, { recursive: true, force: true });
});

async function serve(
  http: Partial<HttpConfig> = {},
  methods: Readonly<Record<string, ControlMethod>> = {},
): Promise<{ web: Web; port: number; token: string }> {
  const listen = { type: 'inet', host: '127.0.0.1', port: 0 } as const;
  const config = { listen, tokenFile: path.join(dir, 'token'), hosts: [], ...http };
  const status = (): Promise<SecondaryStatus> => Promise.resolve(STATUS);
  const metrics = new Metrics({ vm: 'web', status, certificates: () => web.expiries });
  const web: Web = await Web.listen({ config, methods: { status, ...methods }, metrics });
  undo.push(() => web.close());
  const token = new URL(web.pageUrl).hash.replace('#token=', '');
  return { web, port: Number(new URL(web.url).port), token };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function get(port: number, at: string, more: Record<string, unknown> = {}): Promise<Answer> {
  const { tls, ...options } = more;
  const ask = tls === true ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const asked = ask({ host: '127.0.0.1', port, path: at, rejectUnauthorized: false, ...options });
    asked.on('error', reject).on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    asked.end();
  });
}

/** Sends these in order, and collects what comes back until `count` answers or the end. */
function talk(
  port: number,
  said: readonly unknown[],
  { headers = {}, count = said.length }: { headers?: Record<string, string>; count?: number } = {},
): Promise<{ answers: unknown[]; code: number | string }> {
  return new Promise((resolve) => {
    const answers: unknown[] = [];
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers });
    undo.push(() => socket.terminate());
    socket.on('open', () => said.forEach((each) => socket.send(JSON.stringify(each))));
    socket.on('message', (data: Buffer) => {
      answers.push(JSON.parse(data.toString('utf8')));
      if (answers.length === count) resolve({ answers, code: 'open' });
    });
    socket.on('error', (error) => resolve({ answers, code: error.message }));
    socket.on('close', (code) => resolve({ answers, code }));
  });
}

const authenticate = (token: string) => ({ id: 1, method: 'authenticate', params: { token } });

describe('what is served', () => {
  test('the page, with a policy that lets no script in but its own', async () => {
    const { port } = await serve();
    const { status, headers, text } = await get(port, '/');
    expect(status).toBe(200);
    expect(text).toContain('<!doctype html>');
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    });
    // What the policy would keep from running must not be in it.
    expect(text).not.toMatch(/<script(?![^>]*src=)|<style|\son[a-z]+=|style=/);
  });

  test('modules that import nothing but each other, zod and Node.js least of all', async () => {
    const assets = await loadAssets();
    const modules = [...assets].filter(([at]) => at.endsWith('.js'));
    expect(modules.map(([at]) => at)).toContain('/contract/events.js');
    for (const [at, { body }] of modules) {
      const imports = [...body.toString('utf8').matchAll(/\bfrom ?["']([^"']+)["']/g)];
      for (const [, specifier = ''] of imports) {
        const path = /^\.{0,2}\//.test(specifier)
          ? new URL(specifier, `http://x${at}`).pathname
          : '';
        expect([at, specifier, assets.has(path)]).toEqual([at, specifier, true]);
      }
    }
  });

  test('nothing else of this machine', async () => {
    const { port } = await serve();
    for (const at of ['/../package.json', '/page/../../package.json', '/%2e%2e/token', '/token']) {
      expect(await get(port, at)).toMatchObject({ status: 404, text: 'Not found.\n' });
    }
    expect(await get(port, '/', { method: 'POST' })).toMatchObject({ status: 405 });
  });

  test('metrics, to who has the token', async () => {
    const { port, token } = await serve();
    const without = await get(port, '/metrics');
    expect(without).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': expect.anything() },
    });
    expect(without.text).not.toContain('gannet_qemu_up');
    for (const authorization of [`Bearer ${token}x`, `Basic ${token}`, 'Bearer', token]) {
      expect((await get(port, '/metrics', { headers: { authorization } })).status).toBe(401);
    }
    expect((await get(port, `/metrics?token=${token}`)).status).toBe(401);
    const authorization = `Bearer ${token}`;
    const metrics = await get(port, '/metrics', { headers: { authorization } });
    expect(metrics).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } });
    expect(metrics.text).toContain('gannet_qemu_up{vm="web",role="secondary"} 1');
  });
});

describe('the WebSocket', () => {
  test('answers who has said the token first', async () => {
    const { port, token } = await serve();
    const { answers } = await talk(port, [authenticate(token), { id: 2, method: 'status' }]);
    expect(answers).toEqual([
      { id: 1, result: {} },
      { id: 2, result: STATUS },
    ]);
  });

  test('says itself who asks: the page, and from where', async () => {
    const actors: unknown[] = [];
    const detach: ControlMethod = (_params, _progress, actor) => actors.push(actor);
    const { port, token } = await serve({}, { detach });
    await talk(port, [authenticate(token), { id: 2, method: 'detach', actor: 'root' }]);
    expect(actors).toEqual(['the web page, from 127.0.0.1']);
  });

  test.each([
    ['another token', authenticate('x'.repeat(43))],
    ['no token', { id: 1, method: 'status' }],
    ['what is no message', 'hello'],
  ])('ends for %s, with nothing said', async (_name, said) => {
    const { port } = await serve();
    const ended = await talk(port, [said, { id: 2, method: 'status' }]);
    expect(ended).toEqual({ answers: [], code: 4401 });
  });

  test('is not opened for a page of somebody else', async () => {
    const { port, token } = await serve();
    const said = [authenticate(token)];
    for (const origin of ['http://evil.example', `https://127.0.0.1:${port}`, 'null', 'file://']) {
      const { answers, code } = await talk(port, said, { headers: { origin } });
      expect([origin, answers, code]).toEqual([origin, [], 'Unexpected server response: 403']);
    }
    const own = { headers: { origin: `http://127.0.0.1:${port}` } };
    expect((await talk(port, said, own)).answers).toEqual([{ id: 1, result: {} }]);
  });

  test('passes on what the command would be refused, and never forces', async () => {
    const params: unknown[] = [];
    const failover = (given: Record<string, unknown>): never => {
      params.push(given);
      throw new GannetError('GANNET_REFUSED', 'nothing proves it', 'Make sure.', 'refused');
    };
    const { port, token } = await serve({}, { failover, 'seed-rate': () => 'done' });
    const forced = { id: 2, method: 'failover', params: { force: true } };
    const { answers } = await talk(port, [
      authenticate(token),
      forced,
      { id: 3, method: 'seed-rate' },
    ]);
    expect(answers[1]).toEqual({
      id: 2,
      error: {
        ...{ code: 'GANNET_REFUSED', message: 'nothing proves it', remedy: 'Make sure.' },
        exit: 'refused',
      },
    });
    expect(params).toEqual([{}]);
    expect(answers[2]).toMatchObject({ id: 3, error: { code: 'GANNET_CONTROL_PROTOCOL' } });
  });

  test('tells who watches of events', async () => {
    const { web, port, token } = await serve();
    const told = talk(port, [authenticate(token), { id: 2, method: 'watch' }], { count: 3 });
    const event = { at: new Date(0).toISOString(), role: 'secondary', kind: 'leaving' } as const;
    const telling = setInterval(() => web.publish(event), 20);
    undo.push(() => clearInterval(telling));
    expect((await told).answers[2]).toEqual({ event });
  });
});

describe('DNS rebinding', () => {
  test('a name that is not ours is turned away, whatever it asks for', async () => {
    const { port, token } = await serve({ hosts: ['gannet.example'] });
    const headers = { host: `evil.example:${port}`, authorization: `Bearer ${token}` };
    for (const at of ['/', '/metrics']) {
      expect(await get(port, at, { headers })).toMatchObject({ status: 421 });
    }
    const origin = `http://evil.example:${port}`;
    const ended = await talk(port, [authenticate(token)], {
      headers: { host: headers.host, origin },
    });
    expect(ended).toEqual({ answers: [], code: 'Unexpected server response: 403' });
    const ours = { ...headers, host: 'gannet.example' };
    expect(await get(port, '/metrics', { headers: ours })).toMatchObject({ status: 200 });
  });

  test.each([
    ['localhost:9470', true],
    ['127.0.0.1', true],
    ['[::1]:9470', true],
    ['10.1.2.3:80', true],
    ['gannet.example:1', true],
    ['GANNET.example', true],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example:9470', false],
    ['a b', false],
    ['', false],
    [undefined, false],
  ])('%s: %s', (host, isOurs) => {
    expect(isOurHost(host, ['gannet.example'])).toBe(isOurs);
  });
});

describe('the token', () => {
  test('is made where there is none, for its owner alone, and kept', async () => {
    const { token } = await serve();
    const file = path.join(dir, 'token');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(token).toHaveLength(43);
    expect((await serve()).token).toBe(token);
  });

  test.each([
    ['that everybody may read', 'x'.repeat(40), 0o644, /every user of this host/, /chmod 600/],
    ['that is short', 'secret', 0o600, /does not hold a valid token/, /32 or more/],
  ])('%s is refused', async (_name, text, mode, message, remedy) => {
    const file = path.join(dir, 'token');
    await writeFile(file, text);
    await chmod(file, mode);
    await expect(serve()).rejects.toMatchObject({
      ...{ code: 'GANNET_CONFIG', message: expect.stringMatching(message) },
      remedy: expect.stringMatching(remedy),
    });
  });
});

test('an address that is taken is an error that names the key', async () => {
  const { port } = await serve();
  const listen = { type: 'inet', host: '127.0.0.1', port } as const;
  await expect(serve({ listen })).rejects.toMatchObject({
    ...{ code: 'GANNET_CONFIG', message: expect.stringMatching(/^http.listen: .*EADDRINUSE/) },
  });
});

test('TLS: with a certificate and its key, and not without', async () => {
  const [cert, key] = [path.join(dir, 'cert.pem'), path.join(dir, 'key.pem')];
  const subject = ['-subj', '/CN=gannet', '-days', '1', '-nodes'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  const { web, port } = await serve({ tls: { cert, key } });
  expect(web.pageUrl).toMatch(/^https:/);
  expect(await get(port, '/', { tls: true })).toMatchObject({ status: 200 });
  const authorization = `Bearer ${new URL(web.pageUrl).hash.replace('#token=', '')}`;
  const { text } = await get(port, '/metrics', { tls: true, headers: { authorization } });
  const expiry = /expiry_timestamp_seconds\{.*certificate="page"\} (\d+)/.exec(text)?.[1];
  expect(Number(expiry) * 1000).toBeGreaterThan(Date.now());
  await expect(get(port, '/')).rejects.toThrow();
  await writeFile(key, 'no key');
  expect(await readFile(key, 'utf8')).toBe('no key');
  await expect(serve({ tls: { cert, key } })).rejects.toMatchObject({
    ...{ code: 'GANNET_CONFIG', message: expect.stringMatching(/^http.tls: /) },
  });
});

describe('the configuration', () => {
  const base = { vm: 'web', qmp: 'unix:/q', disks: [{ name: 'd', device: 'v' }] };
  const parse = (http: unknown) => parseConfig(JSON.stringify({ ...base, http }), 'web.yaml').http;

  test('is loopback with a token in its usual place', () => {
    expect(parse({ listen: 'localhost:9470' })).toMatchObject({
      listen: { host: 'localhost', port: 9470 },
      tokenFile: expect.stringMatching(/\/web\.token$/),
    });
    expect(parse(undefined)).toBeUndefined();
  });

  const tls = { cert: '/c.pem', key: '/k.pem' };
  test.each([
    [
      { listen: '0.0.0.0:9470' },
      /not a loopback address, so http.tls and http.tokenFile must be set/,
    ],
    [{ listen: '10.0.0.1:9470', tls }, /not a loopback address, so http.tokenFile must be set/],
    [{ listen: '[::]:9470', tokenFile: '/t' }, /not a loopback address, so http.tls must be set/],
    [{ listen: 'host.example:9470' }, /not a loopback address/],
    [{ listen: '9470' }, /http.listen: write HOST:PORT/],
    [{ listen: '127.0.0.1:70000' }, /http.listen: write HOST:PORT/],
    [{}, /http.listen/],
  ])('%j is refused', (http, message) => {
    expect(() => parse(http)).toThrow(message);
  });

  test('lets go beyond loopback what has TLS and a token', () => {
    const http = { listen: '0.0.0.0:9470', tls, tokenFile: '/t' };
    expect(parse(http)).toEqual({ ...http, listen: expect.anything(), hosts: [] });
  });
});
