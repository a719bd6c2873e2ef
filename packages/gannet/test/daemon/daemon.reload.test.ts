/** What SIGHUP re-reads besides the configuration: the token and certificate of the web page. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import winston from 'winston';
import { WebSocket } from 'ws';
import { type Config, parseConfig } from '@gannet/contract';
import { Daemon } from '../../src/daemon/daemon.js';

const OLD = 'a'.repeat(40);
const NEW = 'b'.repeat(40);

let dir: string;
let daemon: Daemon;
let config: Config;
let page: URL;
const at = (name: string): string => path.join(dir, name);

function makeCertificate(name: string): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
  const files = ['-keyout', at('key.pem'), '-out', at('cert.pem')];
  execFileSync('openssl', ['req', '-x509', ...curve, '-subj', `/CN=${name}`, ...files], {
    stdio: 'ignore',
  });
}

async function writeToken(token: string): Promise<void> {
  await writeFile(at('token'), `${token}\n`, { mode: 0o600 });
}

/** How a scrape with that token ends, and whose certificate it saw. */
function scrape(token: string): Promise<string> {
  const { hostname: host, port } = page;
  const headers = { Authorization: `Bearer ${token}` };
  const options = { host, port, path: '/metrics', headers, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const asked = get({ ...options, agent: false }, (response) => {
      const { socket } = response;
      if (!(socket instanceof TLSSocket)) throw new Error('no TLS');
      const { subject } = socket.getPeerCertificate();
      response.resume();
      resolve(`${response.statusCode} from ${String(subject.CN)}`);
    });
    asked.once('error', reject);
  });
}

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-reload-'));
  makeCertificate('old');
  await writeToken(OLD);
  const text = JSON.stringify({
    vm: 'web',
    qmp: `unix:${at('qmp')}`,
    disks: [{ name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 }],
    http: {
      listen: '127.0.0.1:0',
      tokenFile: at('token'),
      tls: { cert: at('cert.pem'), key: at('key.pem') },
    },
    secondary: {},
  });
  config = parseConfig(text, 'web.yaml', { configDir: dir, runDir: dir, stateDir: dir });
  let address = '';
  const log = winston.createLogger({ silent: true });
  const heard = log.log.bind(log) as (...of: unknown[]) => winston.Logger;
  log.log = ((level: string, kind: string, details: { address?: string }) => {
    if (kind === 'web') address = details.address ?? '';
    return heard(level, kind, details);
  }) as typeof log.log;
  daemon = await Daemon.start(config, 'secondary', log);
  page = new URL(address);
});
afterEach(async () => {
  await daemon.close();
  await rm(dir, { recursive: true });
});

test('a new token and a new certificate apply at once, and the old ones no longer', async () => {
  expect(await scrape(OLD)).toBe('200 from old');
  makeCertificate('renewed');
  await writeToken(NEW);
  expect(await scrape(NEW)).toBe('401 from old');
  await daemon.reload(config);
  expect(await scrape(NEW)).toBe('200 from renewed');
  expect(await scrape(OLD)).toBe('401 from renewed');
});

test('a browser that came in with the old token must show the new one', async () => {
  const socket = new WebSocket(`wss://${page.host}/ws`, { rejectUnauthorized: false });
  await once(socket, 'open');
  socket.send(JSON.stringify({ id: 1, method: 'authenticate', params: { token: OLD } }));
  await once(socket, 'message');
  const closed = once(socket, 'close');
  // The same token: it stays.
  await daemon.reload(config);
  socket.send(JSON.stringify({ id: 2, method: 'status', params: {} }));
  await once(socket, 'message');
  await writeToken(NEW);
  await daemon.reload(config);
  expect((await closed)[0]).toBe(4401);
});

test('files that cannot be used change nothing', async () => {
  await writeToken(NEW);
  await writeFile(at('cert.pem'), 'not a certificate');
  await expect(daemon.reload(config)).rejects.toMatchObject({
    code: 'GANNET_CONFIG',
    message: expect.stringMatching(/^http.tls: /),
  });
  expect(await scrape(OLD)).toBe('200 from old');
  makeCertificate('renewed');
  await writeToken('short');
  await expect(daemon.reload(config)).rejects.toMatchObject({
    code: 'GANNET_CONFIG',
    message: expect.stringMatching(/^http.tokenFile /),
  });
  expect(await scrape(OLD)).toBe('200 from old');
});
