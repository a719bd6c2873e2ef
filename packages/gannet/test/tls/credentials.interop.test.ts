import { once } from 'node:events';
import { chmod, copyFile, cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import { makeCertificates } from '@gannet/test-support/certificates.js';
import { type Address, type InetAddress, type TlsConfig, tlsSchema } from '@gannet/contract';
import { BLANK } from '../../src/daemon/arbitration/records.js';
import { VmWatch } from '../../src/daemon/vm/vm-watch.js';
import { LabDaemon, LabVm } from '@gannet/lab';
import { freePort } from '@gannet/test-support/ports.js';
import { PeerLink, type PeerLinkOptions } from '../../src/daemon/peer/peer-link.js';
import { Credentials } from '../../src/tls/credentials.js';

const BIN = path.resolve(import.meta.dirname, '..', '..', 'dist', 'bin.js');
const PATIENCE_MS = 20_000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'gannet-tls-'));
  await makeCertificates(root);
  strange = await mkdtemp(path.join(root, 'strange-'));
  await makeCertificates(strange);
});
afterAll(() => rm(root, { recursive: true, force: true }));
/** Made by another authority. */
let strange: string;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const at = (...names: string[]): string => path.join(root, ...names);
const tlsOf = (dir: string, more: object = {}): TlsConfig => tlsSchema.parse({ dir, ...more });
const credentialsOf = (dir: string, more: object = {}): Promise<Credentials> =>
  Credentials.read(tlsOf(dir, more));

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !isSo(); await sleep(10)) {
    if (performance.now() - startMs > PATIENCE_MS) throw new Error(`timed out waiting for ${what}`);
  }
}

interface End {
  readonly link: PeerLink;
  readonly refused: string[];
}

function optionsOf(
  role: 'primary' | 'secondary',
  refused: string[],
  credentials: Credentials | undefined,
): PeerLinkOptions {
  return {
    ...{ vm: 'web', role, heartbeatMs: 20, lowMs: 1000, highMs: 1500, credentials },
    status: () =>
      role === 'primary'
        ? { role, state: 'unprotected', epoch: 0, vm: 'ready', record: BLANK }
        : { role, state: 'seeding', epoch: 0, vm: 'ready', record: BLANK, link: 'none' },
    onLiveness: () => undefined,
    onStatus: () => undefined,
    onAsk: () => Promise.resolve(null),
    onRefused: (reason) => refused.push(reason),
  };
}

async function listening(address: Address, credentials?: Credentials): Promise<End> {
  const refused: string[] = [];
  const link = await PeerLink.listen(address, optionsOf('secondary', refused, credentials));
  undo.push(() => link.close());
  return { link, refused };
}

function dialling(address: Address, credentials?: Credentials): End {
  const refused: string[] = [];
  const link = PeerLink.dial(address, optionsOf('primary', refused, credentials));
  undo.push(() => link.close());
  return { link, refused };
}

async function plainAddress(): Promise<InetAddress> {
  return { type: 'inet', host: '127.0.0.1', port: await freePort() };
}

async function someAddress(): Promise<InetAddress> {
  return { type: 'inet', host: '127.0.0.1', port: await freePort(), tls: true };
}

describe('the peer link', () => {
  it('is up between two that an authority has certified', async () => {
    const address = await someAddress();
    const far = await listening(
      address,
      await credentialsOf(at('host-b'), { clients: ['host-a'] }),
    );
    const near = dialling(address, await credentialsOf(at('host-a')));
    await until('the link', () => near.link.state === 'up' && far.link.state === 'up');
    expect([...near.refused, ...far.refused]).toEqual([]);
  });

  it('is up between two that know a key, and not with another', async () => {
    const address = await someAddress();
    const far = await listening(address, await credentialsOf(at('psk'), { kind: 'psk' }));
    const wrong = dialling(
      address,
      await credentialsOf(path.join(strange, 'psk'), { kind: 'psk' }),
    );
    await until('a refusal', () => far.refused.length > 0 && wrong.refused.length > 0);
    expect(far.link.state).toBe('unknown');
    const near = dialling(address, await credentialsOf(at('psk'), { kind: 'psk' }));
    await until('the link', () => near.link.state === 'up' && far.link.state === 'up');
  });

  const impostors: readonly {
    readonly whom: string;
    readonly server?: object;
    readonly theirs: () => Promise<Credentials>;
    readonly says: RegExp;
    /** Who notices. */
    readonly who?: 'near';
  }[] = [
    {
      whom: 'a primary of another authority',
      theirs: async () => {
        // It believes the secondary all the same.
        const dir = await mkdtemp(path.join(root, 'impostor-'));
        await cp(path.join(strange, 'host-a'), dir, { recursive: true });
        await copyFile(at('ca-cert.pem'), path.join(dir, 'ca-cert.pem'));
        return credentialsOf(dir);
      },
      says: /no TLS|it closed the connection without a hello/,
    },
    {
      whom: 'a primary whose name is not on the list',
      server: { clients: ['host-c'] },
      theirs: () => credentialsOf(at('host-a')),
      says: /certificate of host-a, .* is not in `tls.clients`/,
    },
    {
      whom: 'a secondary with another name',
      theirs: () => credentialsOf(at('host-a'), { serverName: 'host-z' }),
      says: /host-z.* is not in the cert's altnames|does not match certificate's altnames/,
      who: 'near',
    },
  ];
  it.each(impostors)('is refused to $whom', async ({ server, theirs, says, who }) => {
    const address = await someAddress();
    const far = await listening(address, await credentialsOf(at('host-b'), server));
    const near = dialling(address, await theirs());
    const { refused } = who === 'near' ? near : far;
    await until('a refusal', () => refused.length > 0);
    expect(refused[0]).toMatch(says);
    expect(near.link.state).toBe('unknown');
    expect(far.link.state).toBe('unknown');
  });

  it('in the clear finds nobody where TLS is asked for', async () => {
    const plain = await plainAddress();
    const far = await listening({ ...plain, tls: true }, await credentialsOf(at('host-b')));
    const near = dialling(plain);
    await until('a refusal', () => far.refused.length > 0);
    expect(near.link.state).toBe('unknown');
  });

  it('uses new credentials for the next connection, unless they cannot be used', async () => {
    const dir = at('moving');
    await cp(path.join(strange, 'host-b'), dir, { recursive: true });
    const credentials = await credentialsOf(dir);
    credentials.check('server');
    const { expiries } = credentials;
    expect(expiries.map(({ certificate }) => certificate)).toEqual(['ca', 'server']);
    for (const { expiresAtMs } of expiries) expect(expiresAtMs).toBeGreaterThan(Date.now());
    const address = await someAddress();
    const far = await listening(address, credentials);
    const near = dialling(address, await credentialsOf(at('host-a')));
    await until('a refusal', () => near.refused.length > 0);
    for (const name of await readdir(at('host-b')))
      await copyFile(at('host-b', name), path.join(dir, name));
    await credentials.reload();
    await until('the link', () => near.link.state === 'up' && far.link.state === 'up');

    await copyFile(
      path.join(strange, 'host-b', 'server-key.pem'),
      path.join(dir, 'server-key.pem'),
    );
    await expect(credentials.reload()).rejects.toMatchObject({ code: 'GANNET_CONFIG' });
    const other = dialling(address, await credentialsOf(at('host-a')));
    await until('another link', () => other.link.state === 'up');
  });

  it('throws out who says no hello', async () => {
    const plain = await plainAddress();
    const far = await listening(plain);
    const mute = connect(plain.port, plain.host);
    mute.on('error', () => undefined).resume();
    await once(mute, 'close');
    expect(far.refused).toEqual(['it sent no hello in time']);
  });

  it('is up while a crowd is at the door', async () => {
    const plain = await plainAddress();
    const far = await listening(plain);
    const crowd = Array.from({ length: 100 }, () => {
      const socket = connect({ ...plain, localAddress: '127.0.0.3' });
      return socket.on('error', () => undefined).resume();
    });
    undo.push(() => crowd.forEach((socket) => socket.destroy()));
    await until('the crowd', () => far.refused.length >= 68);
    const near = dialling(plain);
    await until('the link', () => near.link.state === 'up' && far.link.state === 'up');
  });
});

describe('credentials', () => {
  it('that are missing are named', async () => {
    const credentials = await credentialsOf(at('nothing'));
    expect(() => credentials.check('server')).toThrow(
      `tls.dir: ${at('nothing', 'ca-cert.pem')} is missing`,
    );
    const psk = await credentialsOf(at('psk'), { kind: 'psk', username: 'bob' });
    expect(() => psk.check('client')).toThrow(/keys.psk has no key for bob/);
  });

  it('that anybody may read are refused', async () => {
    const dir = at('open');
    await cp(at('host-a'), dir, { recursive: true });
    await chmod(path.join(dir, 'client-key.pem'), 0o644);
    await expect(credentialsOf(dir)).rejects.toMatchObject({
      ...{ code: 'GANNET_CONFIG', remedy: expect.stringContaining('chmod 600') },
    });
  });
});

describe('QMP over TCP with TLS', () => {
  const creds = ['-object', 'tls-creds-x509,id=t0,endpoint=server,verify-peer=on,dir='];

  async function startVm(port: number): Promise<void> {
    const dir = await mkdtemp(path.join(root, 'vm-'));
    const chardev = `socket,id=q,host=127.0.0.1,port=${port},server=on,wait=off,tls-creds=t0`;
    const args = [
      ...['-machine', 'none', creds[0] ?? '', `${creds[1]}${at('host-b')}`],
      ...['-chardev', chardev, '-mon', 'chardev=q,mode=control'],
    ];
    const vm = await LabVm.start({ name: 'vm', dir, args });
    undo.push(() => vm.dispose());
  }

  function watching(address: Address, credentials: Credentials): VmWatch {
    const watch = new VmWatch(address, 3000, credentials);
    undo.push(() => watch.close());
    watch.attend({ onConnected: () => undefined, onTrouble: () => undefined });
    return watch;
  }

  it('reaches a real QEMU, and no other for it', async () => {
    const address = await someAddress();
    await startVm(address.port);
    const stranger = watching(address, await credentialsOf(path.join(strange, 'host-a')));
    await until('a refusal', () => stranger.trouble !== undefined);
    expect(stranger.trouble).toMatch(/self-signed certificate in certificate chain|unable to/);
    await stranger.close();
    const watch = watching(address, await credentialsOf(at('host-a')));
    await until('QEMU', () => watch.state === 'ready');
    expect(await watch.qmp?.execute('query-status')).toMatchObject({ status: 'running' });
  });
});

describe('a daemon', () => {
  it('keeps its files private, its disks to their role, and its secrets out of logs', async () => {
    const dir = await mkdtemp(path.join(root, 'daemon-'));
    const umask = process.umask(0);
    const port = await freePort();
    const [run, state] = [path.join(dir, 'run'), path.join(dir, 'state')];
    const config = {
      ...{ vm: 'web', control: path.join(run, 'web.sock'), qmp: 'unix:/nowhere' },
      disks: [{ name: 'd', device: 'vb0', base: path.join(dir, 'base.raw'), size: 1 << 20 }],
      tls: { dir: at('psk'), kind: 'psk' },
      secondary: { nbd: `tls:127.0.0.1:${port}`, source: 'external' },
    };
    const env = { GANNET_RUN_DIR: run, GANNET_STATE_DIR: state };
    const started = LabDaemon.start({ role: 'secondary', dir, config, env, bin: BIN });
    const daemon = await started.finally(() => process.umask(umask));
    undo.push(() => daemon.kill('SIGKILL'));

    const modeOf = async (...names: string[]): Promise<string> =>
      ((await stat(path.join(dir, ...names))).mode & 0o777).toString(8);
    expect(await modeOf('run')).toBe('700');
    expect(await modeOf('state')).toBe('700');
    for (const name of ['web.sock', 'web.nbd']) expect(await modeOf('run', name)).toBe('600');
    for (const name of ['base.raw', 'base.raw.gannet']) expect(await modeOf(name)).toBe('600');

    // What a library makes some day has no mode of its own.
    expect(await readFile(`/proc/${daemon.pid}/status`, 'utf8')).toMatch(/^Umask:\s+0077$/m);

    const credentials = await credentialsOf(at('psk'), { kind: 'psk' });
    const remote = { host: '127.0.0.1', port };
    const secured = (name: string, tls = credentials): Promise<NbdClient> =>
      NbdClient.connect(remote, { export: name, tls: tls.client() });
    const local = { path: path.join(run, 'web.nbd') };
    await expect(secured('svm')).rejects.toThrow(/for this host: use the unix socket/);
    await (await NbdClient.connect(local, { export: 'svm' })).disconnect();
    await expect(NbdClient.connect(remote, { export: 'pvm' })).rejects.toThrow(/TLS is required/);
    const wrong = await credentialsOf(path.join(strange, 'psk'), { kind: 'psk' });
    await expect(secured('pvm', wrong)).rejects.toThrow(/TLS with the server failed/);

    // The primary's link, and beside it the mirror; nobody else writes.
    const [link, mirror] = [await secured('pvm'), await secured('pvm')];
    await expect(secured('pvm')).rejects.toThrow(/links of disk d are open already/);
    await Promise.all([link.disconnect(), mirror.disconnect()]);

    process.kill(daemon.pid ?? 0, 'SIGHUP');
    await until('the reload', () => daemon.eventsOf('reloaded').length > 0);
    const told = [
      daemon.logTail,
      JSON.stringify(await daemon.client.call('status')),
      JSON.stringify(await daemon.client.call('events')),
    ].join('\n');
    expect(told).toContain('strangers');
    const key = (await readFile(at('psk', 'keys.psk'), 'utf8')).trim().split(':')[1] ?? '';
    for (const secret of secretsOf(key)) expect(told).not.toContain(secret);
  });
});

/** As somebody might print them. */
function secretsOf(hex: string): string[] {
  const bytes = Buffer.from(hex, 'hex');
  const decimals = [...bytes.subarray(0, 6)].join(',');
  return [hex, hex.toUpperCase(), hex.slice(0, 16), bytes.toString('base64'), decimals];
}
