import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions, TlsOptions, TLSSocket } from 'node:tls';
import { makeCertificates } from '@gannet/test-support/certificates.js';
import { freePort } from '@gannet/test-support/ports.js';
import { MemoryExport, NbdClient, NbdServer } from '../../src/index.js';
import type { NbdServerEvent, NbdServerTls } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { eventually, run, start } from '../support/programs.js';

const MIB = 1024 * 1024;
const HOST = '127.0.0.1';
let certificates: string;

beforeAll(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'nbd-tls-'));
  await makeCertificates(certificates);
  stranger = await mkdtemp(join(certificates, 'stranger-'));
  await makeCertificates(stranger);
});
afterAll(() => rm(certificates, { recursive: true, force: true }));
/** With an authority of its own. */
let stranger: string;

const at = (...names: string[]): string => join(certificates, ...names);

async function x509(dir: string, end: 'server' | 'client'): Promise<TlsOptions> {
  const [ca, cert, key] = await Promise.all(
    ['ca-cert', `${end}-cert`, `${end}-key`].map((name) => readFile(join(dir, `${name}.pem`))),
  );
  return { ca, cert, key, minVersion: 'TLSv1.3' };
}

const clientOf = async (dir: string): Promise<ConnectionOptions> =>
  (await x509(dir, 'client')) as ConnectionOptions;

interface Scene {
  readonly disk: MemoryExport;
  readonly events: NbdServerEvent[];
  readonly port: number;
  /** For programs of QEMU. */
  readonly image: string;
}

async function serving(
  tls: NbdServerTls | undefined,
  use: (scene: Scene) => Promise<void>,
): Promise<void> {
  const disk = new MemoryExport('disk', 8 * MIB);
  const events: NbdServerEvent[] = [];
  const server = new NbdServer({ exports: [disk], onEvent: (event) => events.push(event) });
  const address = await server.listen({ host: HOST, port: 0, ...(tls ? { tls } : {}) });
  const port = 'port' in address ? address.port : 0;
  const image = [
    `driver=nbd,server.type=inet,server.host=${HOST},server.port=${port}`,
    'export=disk,tls-creds=tls0',
  ].join(',');
  try {
    await use({ disk, events, port, image });
  } finally {
    await server.close();
  }
}

async function withCertificates(use: (scene: Scene) => Promise<void>): Promise<void> {
  const options = await x509(at('host-b'), 'server');
  const identify = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN);
  await serving({ options: () => options, identify }, use);
}

const creds = (dir: string): string =>
  `tls-creds-x509,id=tls0,endpoint=client,dir=${dir},verify-peer=on`;

const kindsOf = (events: readonly NbdServerEvent[]): string[] => events.map(({ kind }) => kind);

describe('with certificates', () => {
  it('nbdinfo and nbdcopy come in over TLS', () =>
    withCertificates(async ({ port, disk, events }) => {
      const uri = `nbds://${HOST}:${port}/disk?tls-certificates=${at('host-a')}`;
      const info = JSON.parse(await run('nbdinfo', '--json', uri)) as Record<string, unknown>;
      expect(info).toMatchObject({ TLS: true, exports: [{ 'export-size': 8 * MIB }] });
      const from = at('from');
      await writeFile(from, randomBytes(8 * MIB));
      await run('nbdcopy', '--connections=4', '--flush', from, uri);
      expect(disk.data.equals(await readFile(from))).toBe(true);
      await run('nbdcopy', uri, at('to'));
      expect((await readFile(at('to'))).equals(disk.data)).toBe(true);
      const secured = events.filter(({ kind }) => kind === 'secured');
      expect(secured.length).toBeGreaterThanOrEqual(4);
      for (const event of secured) expect(event).toMatchObject({ peer: { identity: 'host-a' } });
    }));

  it('qemu-img and qemu-io come in over TLS', () =>
    withCertificates(async ({ image, disk }) => {
      const tls = ['--object', creds(at('host-a'))];
      const info = await run('qemu-img', 'info', ...tls, '--image-opts', image);
      expect(info).toContain('virtual size: 8 MiB');
      const io = ['write -P 7 4095 70000', 'read -P 7 4095 70000', 'write -z 1M 64k', 'flush'];
      const output = await run(
        'qemu-io',
        ...[...tls, '--image-opts', ...io.flatMap((line) => ['-c', line]), image],
      );
      expect(output).not.toMatch(/fail|error/i);
      expect(disk.data[4095]).toBe(7);
    }));

  it('our client talks to our server, and to qemu-nbd', () =>
    withCertificates(async ({ port, disk }) => {
      const tls = await clientOf(at('host-a'));
      const talk = async (to: number): Promise<void> => {
        const client = await NbdClient.connect({ host: HOST, port: to }, { export: 'disk', tls });
        const data = randomBytes(3 * MIB + 5);
        await client.write(77, data, { fua: true });
        expect((await client.read(77, data.length)).equals(data)).toBe(true);
        await client.disconnect();
      };
      await talk(port);
      expect(await NbdClient.list({ host: HOST, port }, { tls })).toMatchObject([{ name: 'disk' }]);
      expect(disk.data.subarray(77, 80).every((byte) => byte === 0)).toBe(false);

      await writeFile(at('disk.raw'), Buffer.alloc(8 * MIB));
      const other = await freePort();
      const server = start(
        'qemu-nbd',
        ...['--object', `tls-creds-x509,id=t,endpoint=server,dir=${at('host-b')},verify-peer=on`],
        ...['--tls-creds', 't', '-x', 'disk', '-f', 'raw', '-b', HOST, '-p', String(other)],
        ...['--persistent', at('disk.raw')],
      );
      try {
        await eventually(() => talk(other), server.child);
      } finally {
        await server.stop();
      }
    }));

  it.each([
    ['without a certificate', async () => ({ ca: await readFile(at('host-a', 'ca-cert.pem')) })],
    ['another authority certified', () => clientOf(join(stranger, 'host-a')).then(trusting)],
    [
      'certified as a server only',
      async () => (await x509(at('host-a'), 'server')) as ConnectionOptions,
    ],
  ])('turns a client away whom %s', (_whom, credentials) =>
    withCertificates(async ({ port, events }) => {
      const tls = await credentials();
      const attempt = NbdClient.connect({ host: HOST, port }, { export: 'disk', tls });
      await expect(attempt).rejects.toMatchObject({ code: 'NBD_CONNECTION' });
      expect(kindsOf(events)).toEqual(['connected', 'ended']);
    }),
  );

  it('refuses a real client without a certificate, and one without TLS', () =>
    withCertificates(async ({ port, image, events }) => {
      const ofStranger = ['--object', creds(join(stranger, 'host-a')), '--image-opts', image];
      await expect(run('qemu-img', 'info', ...ofStranger)).rejects.toThrow();
      const inTheClear = `nbd://${HOST}:${port}/disk`;
      await expect(run('nbdinfo', inTheClear)).rejects.toThrow(/server replied with error/);
      await expect(run('qemu-img', 'info', inTheClear)).rejects.toThrow(/TLS/i);
      expect(kindsOf(events)).not.toContain('opened');
    }));

  it('a client does not take a server for another', () =>
    withCertificates(async ({ port }) => {
      const tls = { ...(await clientOf(at('host-a'))), servername: 'host-a' };
      const wrong = NbdClient.connect({ host: HOST, port }, { export: 'disk', tls });
      await expect(wrong).rejects.toThrow(/Hostname\/IP does not match/);
      const right = { ...tls, servername: 'host-b' };
      const client = await NbdClient.connect({ host: HOST, port }, { export: 'disk', tls: right });
      await client.disconnect();
    }));
});

function trusting(options: ConnectionOptions): ConnectionOptions {
  return { ...options, rejectUnauthorized: false };
}

describe('with a pre-shared key', () => {
  const keyOf = async (): Promise<Buffer> => {
    const [, hex = ''] = (await readFile(at('psk', 'keys.psk'), 'utf8')).trim().split(':');
    return Buffer.from(hex, 'hex');
  };
  const CIPHERS = 'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384';

  async function withKey(use: (scene: Scene & { key: Buffer }) => Promise<void>): Promise<void> {
    const key = await keyOf();
    const options: TlsOptions = {
      requestCert: false,
      ciphers: CIPHERS,
      maxVersion: 'TLSv1.2',
      pskCallback: (_socket, name) => (name === 'gannet' ? key : null),
    };
    await serving({ options: () => options, identify: () => 'gannet' }, (scene) =>
      use({ ...scene, key }),
    );
  }

  it('nbdinfo, nbdcopy, qemu-img and qemu-io come in', () =>
    withKey(async ({ port, image, disk }) => {
      const uri = `nbds://gannet@${HOST}:${port}/disk?tls-psk-file=${at('psk', 'keys.psk')}`;
      expect(JSON.parse(await run('nbdinfo', '--json', uri))).toMatchObject({ TLS: true });
      await writeFile(at('from'), randomBytes(8 * MIB));
      await run('nbdcopy', '--flush', at('from'), uri);
      expect(disk.data.equals(await readFile(at('from')))).toBe(true);
      const psk = `tls-creds-psk,id=tls0,endpoint=client,dir=${at('psk')},username=gannet`;
      const tls = ['--object', psk, '--image-opts'];
      expect(await run('qemu-img', 'info', ...tls, image)).toContain('virtual size: 8 MiB');
      const io = ['-c', 'write -P 9 1M 64k', '-c', 'read -P 9 1M 64k'];
      expect(await run('qemu-io', ...tls, ...io, image)).not.toMatch(/fail|error/i);
      expect(disk.data[MIB]).toBe(9);
    }));

  it('accepts our client with the key, and not with another', () =>
    withKey(async ({ port, key, events }) => {
      const tlsWith = (psk: Buffer): ConnectionOptions => ({
        ...{ ciphers: CIPHERS, maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined },
        pskCallback: () => ({ psk, identity: 'gannet' }),
      });
      const connect = (psk: Buffer): Promise<NbdClient> =>
        NbdClient.connect({ host: HOST, port }, { export: 'disk', tls: tlsWith(psk) });
      await (await connect(key)).disconnect();
      await expect(connect(randomBytes(32))).rejects.toThrow(/TLS with the server failed/);
      expect(kindsOf(events).filter((kind) => kind === 'opened')).toHaveLength(1);
    }));
});

describe('unencrypted bytes', () => {
  async function answerTo(port: number, ...parts: Buffer[]): Promise<Buffer> {
    const socket = connect(port, HOST);
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => undefined);
    socket.write(Buffer.concat(parts));
    await closed;
    return Buffer.concat(received).subarray(18);
  }

  it('is refused but for STARTTLS, and its leaving', () =>
    withCertificates(async ({ port, events }) => {
      for (const option of [3, 6, 8, 9, 10, 42]) {
        const reply = await answerTo(
          port,
          bytes.clientFlags(),
          bytes.option(option),
          bytes.option(2),
        );
        expect(reply.readUInt32BE(12)).toBe(2 ** 31 + 5); // NBD_REP_ERR_TLS_REQD
      }
      expect(
        await answerTo(port, bytes.clientFlags(), bytes.option(1, Buffer.from('disk'))),
      ).toHaveLength(0);
      expect(kindsOf(events)).not.toContain('opened');
    }));

  it('is not believed behind STARTTLS', () =>
    withCertificates(async ({ port, events }) => {
      const reply = await answerTo(port, bytes.clientFlags(), bytes.option(5), bytes.go('disk'));
      expect(reply).toHaveLength(0);
      expect(events.at(-1)).toMatchObject({
        end: { error: { message: 'unencrypted bytes follow NBD_OPT_STARTTLS' } },
      });
    }));

  it('is refused if TLS is not offered', () =>
    serving(undefined, async ({ port }) => {
      const tls = await clientOf(at('host-a'));
      const attempt = NbdClient.connect({ host: HOST, port }, { export: 'disk', tls });
      await expect(attempt).rejects.toMatchObject({ code: 'NBD_REFUSED', reason: 'unsupported' });
    }));
});
