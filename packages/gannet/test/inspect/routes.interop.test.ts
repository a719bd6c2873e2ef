import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';

const BIN = path.resolve(import.meta.dirname, '..', '..', 'dist', 'bin.js');
/** A neighbour, a router, and a host behind that. */
const NETWORK = `
ip link set lo up
ip link add cable type veth peer name other
ip address add 192.0.2.1/24 dev cable
ip address add 2001:db8::1/64 dev cable nodad
ip link set cable up
ip link set other up
ip route add default via 192.0.2.254
echo there
exec sleep infinity`;

let dir: string;
/** A process that is nothing but a network of its own. */
let host: ChildProcess;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-routes-'));
  await writeFile(path.join(dir, 'keys.psk'), `gannet:${randomBytes(32).toString('hex')}\n`, {
    mode: 0o600,
  });
  const namespace = ['--pdeathsig', 'KILL', 'unshare', '--net', 'sh', '-e', '-c', NETWORK];
  host = spawn('setpriv', namespace, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (host.stdout) await once(host.stdout, 'data');
});
afterEach(async () => {
  const ended = once(host, 'close');
  host.kill('SIGKILL');
  await ended;
  await rm(dir, { recursive: true });
});

/** Runs a command on that host, whatever it exits with. */
function onHost(...command: readonly string[]): Promise<{ stdout: string; failed: boolean }> {
  return new Promise((resolve) => {
    execFile('nsenter', ['--net', '--target', `${host.pid}`, ...command], (error, stdout) => {
      resolve({ stdout, failed: error !== null });
    });
  });
}

interface Report {
  findings: { code: string; severity: string; device?: string; remedy: string }[];
}

/** How packets leave, without `quickack`. */
async function wayTo(address: string): Promise<object> {
  const { stdout } = await onHost('ip', '-json', 'route', 'get', address);
  const [route] = JSON.parse(stdout) as Record<string, unknown>[];
  return { dev: route?.['dev'], gateway: route?.['gateway'], source: route?.['prefsrc'] };
}

async function routeFindings(config: object): Promise<Report['findings']> {
  const file = path.join(dir, 'web.yaml');
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  const { stdout } = await onHost(process.execPath, BIN, 'check', '--config', file, '--json');
  const { findings } = JSON.parse(stdout) as Report;
  return findings.filter(({ code }) => code === 'route-delays-acks');
}

const common = () => ({
  vm: 'web',
  control: path.join(dir, 'ctl'),
  termFile: path.join(dir, 'term'),
  qmp: `unix:${dir}/qmp`,
  tls: { dir, kind: 'psk' },
});
const primary = (migrate: string) => ({
  ...common(),
  disks: [{ name: 'root', device: 'vb0' }],
  primary: { nbd: `unix:${dir}/nbd`, peer: `unix:${dir}/peer`, migrate },
});
const secondary = (migrate: string) => ({
  ...common(),
  disks: [{ name: 'root', device: 'vb0', base: path.join(dir, 'base'), size: 4096 }],
  secondary: { nbd: `unix:${dir}/nbd`, peer: `unix:${dir}/peer`, migrate },
});

it.each([
  ['a neighbour', '192.0.2.2', () => primary('tls:192.0.2.2:7001')],
  ['a host behind a router', '203.0.113.4', () => primary('tls:203.0.113.4:7001')],
  ['an IPv6 neighbour', '2001:db8::2', () => primary('tls:[2001:db8::2]:7001')],
  ['a tunnel on the primary host', '127.0.0.1', () => primary('tcp:127.0.0.1:7001')],
  ['a tunnel on the secondary host', '127.0.0.1', () => secondary('tcp:127.0.0.1:7001')],
])('the remedy for the route to %s helps', async (what, address, config) => {
  const way = await wayTo(address);
  const [finding, ...others] = await routeFindings(config());
  expect(finding).toMatchObject({
    severity: 'warning',
    device: `${what.includes('secondary') ? 'secondary' : 'primary'}.migrate`,
  });
  expect(others).toEqual([]);
  const command = /`(ip route .*)`/.exec(finding?.remedy ?? '')?.[1] ?? '';
  expect(await onHost('sh', '-c', command)).toMatchObject({ failed: false });
  expect(await routeFindings(config())).toEqual([]);
  expect(await wayTo(address)).toEqual(way);
});

it('a unix socket has no route', async () => {
  expect(await routeFindings(primary(`unix:${dir}/in`))).toEqual([]);
});
