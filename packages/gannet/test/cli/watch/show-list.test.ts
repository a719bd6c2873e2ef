/** `gannet list`: every VM of a host is a row, whatever its daemon does. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Places } from '@gannet/contract/paths';
import { hostVms } from '../../../src/host/host-list.js';
import { renderList } from '../../../src/cli/watch/render-list.js';
import { showList, watchList } from '../../../src/cli/watch/show-list.js';
import { ControlServer } from '../../../src/daemon/control/control-server.js';
import { BUFFERS, judged, PRIMARY, SECONDARY } from '../../support/statuses.js';

const STYLE = { columns: Infinity, hasColour: false };
const SILENCE_MS = 1000;

let dir: string;
let env: NodeJS.ProcessEnv;
let places: Places;
let servers: { close(): unknown }[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-list-'));
  const [configDir, stateDir, runDir] = ['etc', 'lib', 'run'].map((name) => path.join(dir, name));
  places = { configDir: configDir ?? '', stateDir: stateDir ?? '', runDir: runDir ?? '' };
  env = { GANNET_CONFIG_DIR: configDir, GANNET_STATE_DIR: stateDir, GANNET_RUN_DIR: runDir };
  for (const folder of [configDir, stateDir, runDir]) await mkdir(folder ?? '');
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  await rm(dir, { recursive: true, force: true });
});

const socketOf = (vm: string): string => path.join(places.runDir, `${vm}.sock`);

async function configure(vm: string, text = `vm: ${vm}\n`): Promise<void> {
  await writeFile(path.join(places.configDir, `${vm}.yaml`), text, { mode: 0o600 });
}

/** A VM whose daemon says this. */
async function serve(vm: string, status: () => object): Promise<ControlServer> {
  await configure(vm);
  const server = await ControlServer.listen(socketOf(vm), { status });
  servers.push(server);
  return server;
}

/** A VM whose daemon takes connections and says nothing. */
async function hang(vm: string): Promise<void> {
  await configure(vm);
  const sockets = new Set<{ destroy(): void }>();
  const server: Server = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(socketOf(vm), resolve));
  servers.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
}

function screenOf(isTTY: boolean) {
  const screen = {
    ...{ text: '', isTTY, columns: 100, rows: 10 },
    write: (text: string): void => void (screen.text += text),
    on: () => undefined,
    off: () => undefined,
  };
  return screen;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const rows = async (): Promise<string[]> =>
  renderList(await hostVms(places, SILENCE_MS), 'a', STYLE);

describe('a row', () => {
  test('is what a daemon says of both sides', async () => {
    await serve('db', () => ({ ...SECONDARY, commitAgeMs: 1200 }));
    const said = { ...PRIMARY.peer.status, commitAgeMs: 800, buffers: BUFFERS };
    await serve('web', () => ({ ...PRIMARY, peer: { pulse: 'up', silentMs: 200, status: said } }));
    const vms = await hostVms(places, SILENCE_MS);
    expect(vms).toMatchObject([
      { vm: 'db', isWell: true, role: 'secondary', epochAgeMs: 1200, backlogBytes: 160 * 2 ** 20 },
      { vm: 'web', isWell: true, role: 'primary', epochAgeMs: 1000, backlogBytes: 160 * 2 ** 20 },
    ]);
    expect(renderList(vms, 'a', STYLE)).toEqual([
      '      VM   ROLE       STATE      VERDICT    PEER    EPOCH AGE  BACKLOG',
      '[ok]  db   secondary  protected  protected  a (up)  1.2 s      160 MiB',
      '[ok]  web  primary    protected  protected  b (up)  1.0 s      160 MiB',
    ]);
  });

  test('of a VM that is not well is followed by what to do', async () => {
    await serve('web', () => judged({ ...PRIMARY, state: 'alone' }));
    const [, row, , headline, remedy] = await rows();
    expect(row).toMatch(/^\[!!\] {2}web {2}primary {2}alone {2}alone +b \(up\) +- +/);
    expect(headline).toBe('web: Unprotected: the VM runs alone on host a');
    expect(remedy).toMatch(/^ {2}.*gannet protect web/);
  });

  test('of a VM without a daemon says where none is', async () => {
    await configure('web');
    expect((await rows()).slice(1, 5)).toEqual([
      '[!!]  web  -     no daemon  -        -     -          -',
      '',
      expect.stringContaining(`web: no daemon on ${socketOf('web')}: `),
      expect.stringContaining('  Start it with '),
    ]);
  });

  test('of a daemon that does not answer says so, and keeps nobody waiting', async () => {
    await hang('hung');
    await serve('web', () => PRIMARY);
    const [, hung, web] = await rows();
    expect(hung).toContain('no answer');
    expect(web).toContain('protected');
  });

  test('of a daemon that lives and has no answer yet says so too', async () => {
    await serve('web', () => new Promise(() => undefined));
    const [, row] = await rows();
    expect(row).toContain('no answer');
  });

  test('of a configuration that is wrong names the file', async () => {
    await configure('web', 'vm: [1]\n');
    const [, row, , trouble] = await rows();
    expect(row).toContain('bad config');
    expect(trouble).toContain(path.join(places.configDir, 'web.yaml'));
  });

  test('of a daemon that is older or newer has what it says, and is not well', async () => {
    await serve('web', () => ({ role: 'witness', state: 'watching\u001b[31m' }));
    const [, row, , trouble] = await rows();
    expect(row).toMatch(/^\[!!\] {2}web {2}witness {2}watching \[31m {2}- /);
    expect(trouble).toBe('web: the daemon gives no verdict');
  });
});

test('no configuration, no row: nothing is wrong', async () => {
  const screen = screenOf(false);
  expect(await showList({ json: false, silenceMs: SILENCE_MS, screen, env })).toBe(true);
  expect(screen.text).toMatch(/^No VM is configured on \S+: \/\S+ has no VM\.yaml\.\n$/);
});

test('as JSON it is one document, and any VM that is not well makes it bad', async () => {
  await serve('web', () => PRIMARY);
  await configure('db');
  const screen = screenOf(false);
  expect(await showList({ json: true, silenceMs: SILENCE_MS, screen, env })).toBe(false);
  expect(JSON.parse(screen.text)).toMatchObject({
    ...{ schema: 1, host: hostname() },
    vms: [
      { vm: 'db', isWell: false, error: { code: 'GANNET_CONTROL_UNREACHABLE' } },
      { vm: 'web', isWell: true, error: null, health: { code: 'protected', level: 'good' } },
    ],
  });
});

describe('watched', () => {
  test('lines follow only when a VM has changed', async () => {
    let status: object = PRIMARY;
    let looks = 0;
    await serve('web', () => {
      looks++;
      return status;
    });
    const screen = screenOf(false);
    const abort = new AbortController();
    const options = { json: true, silenceMs: SILENCE_MS, screen, env, everyMs: 5 };
    const watching = watchList(options, abort.signal);
    await until(() => looks > 4);
    expect(screen.text.trimEnd().split('\n')).toHaveLength(1);
    status = judged({ ...PRIMARY, state: 'alone' });
    await until(() => screen.text.includes('"alone"'));
    abort.abort();
    await watching;
    expect(screen.text.trimEnd().split('\n')).toHaveLength(2);
  });

  test('a terminal is drawn again, no wider and no higher than it is, and comes back', async () => {
    for (let at = 0; at < 20; at++) await configure(`vm${at}`);
    const screen = screenOf(true);
    const abort = new AbortController();
    const terminal = { ...env, TERM: 'xterm' };
    const options = { json: false, silenceMs: SILENCE_MS, screen, env: terminal, everyMs: 5 };
    const watching = watchList(options, abort.signal);
    await until(() => screen.text.split('\u001b[J').length > 2);
    abort.abort();
    await watching;
    const [, drawn = ''] = screen.text.split('\u001b[J');
    const parts = drawn.split('\u001b').map((part) => part.replace(/^\[[0-9;?]*[A-Za-z]/, ''));
    const lines = parts.join('').split('\r\n');
    expect(lines).toHaveLength(10);
    expect(lines.at(-1)).toBe('Ctrl-C quits.');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(99);
    expect(screen.text.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });
});
