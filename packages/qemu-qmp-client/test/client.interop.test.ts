import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { QmpClient } from '../src/index.js';
import { rejection } from './support/harness.js';
import { makeCertificates, portOf, RealQemu } from './support/real-qemu.js';

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(...args: Parameters<typeof RealQemu.start>): Promise<RealQemu> {
  const qemu = await RealQemu.start(...args);
  cleanups.push(() => qemu.stop());
  return qemu;
}

async function connect(...args: Parameters<RealQemu['connect']>): Promise<QmpClient> {
  const client = await (await start()).connect(...args);
  cleanups.push(() => client.close());
  return client;
}

/** How many commands and events each release with generated types has. */
const RELEASES: Readonly<Record<string, readonly [number, number]>> = {
  '7.2': [216, 52],
  '10.0': [233, 55],
  '11.1': [242, 57],
};

describe('the types of all commands and events of the QEMU installed', () => {
  async function generated(): Promise<{ text: string; release: string }> {
    const { major, minor } = (await connect()).version;
    const release = `${major}.${minor}`;
    const file = join(import.meta.dirname, `../src/generated/qemu-${release}.ts`);
    return { text: await readFile(file, 'utf8'), release };
  }

  it('are what the generator makes of its schema', async () => {
    const script = join(import.meta.dirname, '../scripts/generate-types.mjs');
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, [script, '--stdout'], { maxBuffer: 1 << 24 });
    expect(stdout).toBe((await generated()).text);
  });

  it('are as many as QEMU has', async () => {
    const client = await connect();
    const schema = await client.execute('query-qmp-schema');
    const names = (metaType: string): string[] =>
      schema.filter((one) => one['meta-type'] === metaType).map(({ name }) => name);
    const { text, release } = await generated();
    const typed = (table: string): string[] => {
      const body = new RegExp(`export interface ${table} \\{([\\s\\S]*?)\\n\\}`).exec(text)![1]!;
      return [...body.matchAll(/^ {2}'?([\w-]+)'?: /gm)].map(([, name]) => name!);
    };
    expect(typed('Commands').sort()).toEqual(names('command').sort());
    expect(typed('Events').sort()).toEqual(names('event').sort());
    expect([typed('Commands').length, typed('Events').length]).toEqual(RELEASES[release]);
  });
});

describe('QEMU, over a unix socket', () => {
  it('negotiates, and gives the same version again when asked', async () => {
    const client = await connect();
    const { qemu, package: packageText } = await client.execute('query-version');
    expect(client.version).toEqual({ ...qemu, package: packageText });
    expect(client.capabilities).toEqual(['oob']);
    const again = await rejection(client.execute('qmp_capabilities'));
    expect(again).toMatchObject({ code: 'QMP_COMMAND_FAILED', class: 'CommandNotFound' });
  });

  it('sends its whole schema, in which all typed commands and events are', async () => {
    const client = await connect();
    const schema = await client.execute('query-qmp-schema');
    expect(JSON.stringify(schema).length).toBeGreaterThan(100_000);
    const types = await Promise.all(
      ['machine', 'migration', 'block', 'events'].map((name) =>
        readFile(join(import.meta.dirname, `../src/schema/${name}.ts`), 'utf8'),
      ),
    );
    const events = types.pop()!;
    const commands = types.flatMap((text) => [
      ...[...text.matchAll(/^ {2}\| '([a-z_-]+)'/gm)].map(([, name]) => name!),
      ...[...text.matchAll(/^ {2}'?([a-z_-]+)'?: \{/gm)].map(([, name]) => name!),
    ]);
    const names = [...events.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, name]) => name!);
    expect(commands.length).toBeGreaterThanOrEqual(60);
    expect(names.length).toBeGreaterThan(15);
    const has = (name: string, metaType: string): boolean =>
      schema.some((entity) => entity.name === name && entity['meta-type'] === metaType);
    expect(commands.filter((name) => !has(name, 'command'))).toEqual([]);
    expect(names.filter((name) => !has(name, 'event'))).toEqual([]);
  });

  it('sends RESUME before its reply to cont, STOP before its reply to stop', async () => {
    const client = await connect();
    const seen: string[] = [];
    client.on(({ event }) => seen.push(event));
    await new Promise<void>((resolve) => {
      client.call('stop', {}, () => seen.push('stop replied'));
      client.call('cont', {}, () => {
        seen.push('cont replied');
        resolve();
      });
    });
    expect(seen).toEqual(['STOP', 'stop replied', 'RESUME', 'cont replied']);
    expect((await client.execute('query-status')).running).toBe(true);
  });

  it('refuses a command, with class and desc', async () => {
    const client = await connect();
    const error = await rejection(client.execute('blockdev-del', { 'node-name': 'none' }));
    expect(error).toMatchObject({ code: 'QMP_COMMAND_FAILED', class: 'GenericError' });
    expect(error.message).toContain('Failed to find node with node-name');
  });

  it('takes more commands at once than its queue holds', async () => {
    const client = await connect();
    const replies = await Promise.all(
      Array.from({ length: 100 }, () => client.execute('query-status')),
    );
    expect(replies).toHaveLength(100);
  });

  it('takes text of any script and gives it back', async () => {
    const client = await connect();
    const text = 'Grüße, 世界 🐧 "\\\n';
    const error = await rejection(client.execute('device_add', { driver: text }));
    expect(error.message).toContain(text);
  });

  it('says farewell when it quits', async () => {
    const client = await connect();
    const shutdown = client.waitForEvent('SHUTDOWN');
    await client.execute('quit');
    expect((await shutdown).data.reason).toBe('host-qmp-quit');
    expect((await client.closed)?.code).toBe('QMP_CONNECTION_LOST');
  });

  it('serves one client at a time: a second one runs into its deadline', async () => {
    const qemu = await start();
    const first = await qemu.connect();
    cleanups.push(() => first.close());
    const { target } = qemu;
    const error = await rejection(QmpClient.connect({ target, connectTimeoutMs: 200 }));
    expect(error.code).toBe('QMP_CONNECT_TIMEOUT');
    await first.close();
    const second = await qemu.connect();
    expect((await second.execute('query-status')).running).toBe(true);
    await second.close();
  });

  it('a stopped process does not hang us: the deadline fires, and all is well after', async () => {
    const qemu = await start();
    const client = await qemu.connect();
    cleanups.push(() => client.close());
    qemu.process.kill('SIGSTOP');
    const error = await rejection(client.execute('query-name', {}, { timeoutMs: 200 }));
    expect(error).toMatchObject({ code: 'QMP_COMMAND_TIMEOUT', sent: true });
    expect(client.state).toBe('open');
    qemu.process.kill('SIGCONT');
    expect((await client.execute('query-status')).running).toBe(true);
  });

  it('killed, ends the client and what is pending', async () => {
    const qemu = await start();
    const client = await qemu.connect();
    qemu.process.kill('SIGSTOP');
    const pending = rejection(client.execute('query-name'));
    qemu.process.kill('SIGKILL');
    expect((await pending).code).toBe('QMP_CONNECTION_LOST');
    expect(client.state).toBe('dead');
  });
});

describe('QEMU, out-of-band', () => {
  const yank = { instances: [{ type: 'block-node', 'node-name': 'hung' }] } as const;

  /**
   * A client whose QEMU's main thread waits for a disk that never answers, and what it waits in.
   */
  async function hang(): Promise<{ client: QmpClient; hung: Promise<string> }> {
    const qemu = await start();
    const client = await qemu.connect({ commandTimeoutMs: 60_000 });
    cleanups.push(() => client.close());
    const nbd = await HungNbdServer.listen(join(qemu.folder, 'nbd.sock'));
    cleanups.push(() => nbd.close());
    const server = { type: 'unix', path: nbd.path } as const;
    await client.execute('blockdev-add', { driver: 'nbd', 'node-name': 'hung', server });
    const hung = client.execute('human-monitor-command', {
      'command-line': 'qemu-io hung "read 0 512"',
    });
    await nbd.request;
    return { client, hung };
  }

  it('yanks the connection on which its main thread hangs', async () => {
    const { client, hung } = await hang();
    const inBand = client.execute('query-status', {}, { timeoutMs: 300 });
    expect((await rejection(inBand)).code).toBe('QMP_COMMAND_TIMEOUT');
    const instances = await client.execute('query-yank', {}, { oob: true });
    expect(instances).toContainEqual({ type: 'block-node', 'node-name': 'hung' });
    await client.execute('yank', yank, { oob: true });
    await hung;
    expect((await client.execute('query-status')).running).toBe(true);
  });

  it('still works with more commands waiting than QEMU would queue', async () => {
    const { client, hung } = await hang();
    const waiting = Array.from({ length: 20 }, () => client.execute('query-status'));
    await client.execute('yank', yank, { oob: true, timeoutMs: 10_000 });
    await hung;
    expect(await Promise.all(waiting)).toHaveLength(20);
  });
});

describe('QEMU, whose main thread another monitor holds', () => {
  const yank = { instances: [{ type: 'block-node', 'node-name': 'hung' }] } as const;

  it('still reads out-of-band commands, with its queue as full as we let it be (H4)', async () => {
    const qemu = await start((folder) => {
      return Promise.resolve(['-qmp', `unix:${join(folder, 'other.sock')},server=on,wait=off`]);
    });
    const client = await qemu.connect({ commandTimeoutMs: 60_000 });
    cleanups.push(() => client.close());
    const target = { kind: 'unix', path: join(qemu.folder, 'other.sock') } as const;
    const other = await QmpClient.connect({ target, commandTimeoutMs: 60_000 });
    cleanups.push(() => other.close());
    const nbd = await HungNbdServer.listen(join(qemu.folder, 'nbd.sock'));
    cleanups.push(() => nbd.close());
    const server = { type: 'unix', path: nbd.path } as const;
    await other.execute('blockdev-add', { driver: 'nbd', 'node-name': 'hung', server });
    const hung = other.execute('human-monitor-command', {
      'command-line': 'qemu-io hung "read 0 512"',
    });
    await nbd.request;
    const waiting = Array.from({ length: 20 }, () => client.execute('query-status'));
    await client.execute('yank', yank, { oob: true, timeoutMs: 5_000 });
    await hung;
    expect(await Promise.all(waiting)).toHaveLength(20);
  });
});

describe('QEMU, over TCP and TLS', () => {
  const chardev = 'socket,id=net,host=127.0.0.1,port=0,server=on,wait=off';
  const monitor = ['-mon', 'chardev=net,mode=control'];
  const host = '127.0.0.1';

  it('speaks TCP', async () => {
    const qemu = await start(() => Promise.resolve(['-chardev', chardev, ...monitor]));
    const local = await qemu.connect();
    cleanups.push(() => local.close());
    const port = await portOf(local, 'net');
    const client = await QmpClient.connect({ target: { kind: 'tcp', host, port } });
    cleanups.push(() => client.close());
    expect((await client.execute('query-status')).running).toBe(true);
    const refused = { kind: 'tcp', host, port: 1 } as const;
    expect((await rejection(QmpClient.connect({ target: refused }))).code).toBe('QMP_DIAL_FAILED');
  });

  it('speaks TLS, to who has a certificate of the right authority', async () => {
    const qemu = await start(async (folder) => {
      await makeCertificates(folder);
      const creds = `tls-creds-x509,id=tls,dir=${folder},endpoint=server,verify-peer=on`;
      return ['-object', creds, '-chardev', `${chardev},tls-creds=tls`, ...monitor];
    });
    const local = await qemu.connect();
    cleanups.push(() => local.close());
    const port = await portOf(local, 'net');
    const read = (name: string): Promise<Buffer> => readFile(join(qemu.folder, name));
    const ca = await read('ca-cert.pem');
    const cert = await read('client-cert.pem');
    const key = await read('client-key.pem');

    const target = { kind: 'tls', host, port, ca, cert, key } as const;
    const client = await QmpClient.connect({ target });
    expect((await client.execute('query-status')).running).toBe(true);
    expect((await client.execute('query-qmp-schema')).length).toBeGreaterThan(500);
    const many = Array.from({ length: 40 }, () => client.execute('query-name'));
    expect(await Promise.all(many)).toHaveLength(40);
    await client.close();

    const distrusted = { kind: 'tls', host, port, cert, key } as const;
    expect((await rejection(QmpClient.connect({ target: distrusted }))).code).toBe(
      'QMP_DIAL_FAILED',
    );
    const unknown = { kind: 'tls', host, port, ca } as const;
    const turnedAway = await rejection(QmpClient.connect({ target: unknown }));
    expect(['QMP_DIAL_FAILED', 'QMP_EARLY_CLOSE']).toContain(turnedAway.code);
  });
});

/** Offers a disk of 1 MiB (NBD's old-style handshake), and answers no request. */
class HungNbdServer {
  readonly #sockets: Socket[] = [];
  readonly #server: Server;
  /** Resolves when a request has come. */
  readonly request: Promise<void>;

  private constructor(readonly path: string) {
    const handshake = Buffer.alloc(152);
    handshake.write('NBDMAGIC');
    handshake.writeBigUInt64BE(0x00420281861253n, 8);
    handshake.writeBigUInt64BE(1n << 20n, 16);
    handshake.writeUInt32BE(1, 24);
    this.#server = createServer();
    this.request = new Promise((resolve) => {
      this.#server.on('connection', (socket) => {
        this.#sockets.push(socket);
        socket.on('error', () => undefined).on('data', () => resolve());
        socket.write(handshake);
      });
    });
  }

  static async listen(path: string): Promise<HungNbdServer> {
    const server = new HungNbdServer(path);
    server.#server.listen(path);
    await once(server.#server, 'listening');
    return server;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
