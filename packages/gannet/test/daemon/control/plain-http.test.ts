/** The control socket as a shell script sees it. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type ControlMethod, GannetError } from '@gannet/contract';
import { ControlServer } from '../../../src/daemon/control/control-server.js';
import { stateLines } from '../../../src/daemon/control/plain-http.js';
import { PRIMARY, SECONDARY } from '../../support/statuses.js';

const NOW = Date.now();

let dir: string;
let socketPath: string;
let server: ControlServer;
const asked: unknown[] = [];
const methods: Record<string, ControlMethod> = {
  status: () => SECONDARY,
  failover: (params, _progress, actor) => {
    asked.push({ params, actor });
    return { epoch: 7 };
  },
  detach: () => {
    throw new GannetError('GANNET_REFUSED', 'not now', 'Wait.', 'refused');
  },
  watch: () => ({}),
};

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-plain-'));
  socketPath = path.join(dir, 'web.sock');
  server = await ControlServer.listen(socketPath, methods);
  asked.length = 0;
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

async function send(method: string, url: string, body = ''): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = { 'X-Gannet-Actor': 'Pacemaker on a' };
    const sent = request({ socketPath, method, path: url, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    sent.once('error', reject).end(body);
  });
}

test('the state is a line for each key, without spaces, so that sed reads it', async () => {
  const [code, text] = await send('GET', '/state');
  expect([code, text]).toEqual([200, stateLines(SECONDARY, NOW)]);
  for (const line of stateLines(PRIMARY, NOW).trimEnd().split('\n'))
    expect(line).toMatch(/^[a-z_]+=\S+$/);
  expect(text).toMatch(/^role=secondary\nstate=protected\nqemu=ready\n/m);
  expect(text).toMatch(/^may_fail_over=true$/m);
});

test('HTTP 1.0 by hand, as socat speaks it, ends with the connection', async () => {
  const socket = connect(socketPath);
  socket.write('GET /state HTTP/1.0\r\n\r\n');
  let text = '';
  for await (const part of socket) text += String(part);
  expect(text.split('\r\n\r\n')[1]).toBe(stateLines(SECONDARY, NOW));
});

test('a method is called with its parameters, and who asked', async () => {
  expect(await send('POST', '/failover', '{"force":true}')).toEqual([200, '{"epoch":7}\n']);
  expect(await send('POST', '/failover')).toEqual([200, '{"epoch":7}\n']);
  expect(asked).toEqual([
    { params: { force: true }, actor: 'Pacemaker on a' },
    { params: {}, actor: 'Pacemaker on a' },
  ]);
});

test('an error has a status code of its kind, and all that the command would print', async () => {
  const [code, text] = await send('POST', '/detach');
  expect(code).toBe(409);
  expect(JSON.parse(text)).toEqual({
    error: { code: 'GANNET_REFUSED', message: 'not now', remedy: 'Wait.', exit: 'refused' },
  });
});

test.each([
  ['GET', '/failover', '', 404],
  ['POST', '/nothing', '', 404],
  ['POST', '/watch', '', 404],
  ['POST', '/constructor', '', 404],
  ['GET', '/', '', 404],
  ['POST', '/failover', '[1]', 400],
  ['POST', '/failover', '{', 400],
  ['POST', '/failover', `{"a":"${'x'.repeat(70_000)}"}`, 400],
])('%s %s with %j is refused', async (method, url, body, code) => {
  expect((await send(method, url, body))[0]).toBe(code);
  expect(asked).toEqual([]);
});

test('curl does it', async () => {
  const run = promisify(execFile);
  const has = await run('curl', ['--version']).catch(() => undefined);
  if (!has) return;
  const { stdout } = await run('curl', ['-sf', '--unix-socket', socketPath, 'http://g/state']);
  expect(stdout).toBe(stateLines(SECONDARY, NOW));
});
