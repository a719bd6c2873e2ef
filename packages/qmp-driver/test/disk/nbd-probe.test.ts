import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { probeNbdServer } from '../../src/index.js';

let folder: string;
let path: string;
let server: Server;
const sockets = new Set<Socket>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peer-'));
  path = join(folder, 'nbd.sock');
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

function listen(onSocket: (socket: Socket) => void, where: string | number): Promise<void> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  return new Promise((resolve) => server.listen(where, resolve));
}

const GREETING = Buffer.from('NBDMAGICIHAVEOPT\u0000\u0003', 'latin1');

test('a server that greets byte by byte is fine; it gets NBD_OPT_ABORT and the end', async () => {
  const heard = new Promise<string>((resolve) => {
    void listen((socket) => {
      let text = '';
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => (text += chunk));
      socket.on('end', () => resolve(text));
      for (const byte of GREETING) socket.write(Buffer.of(byte));
    }, path);
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await probeNbdServer({ type: 'unix', path }, { timeoutMs: 1000 });
  expect(await heard).toBe('\0\0\0\u0003IHAVEOPT\0\0\0\u0002\0\0\0\0');
});

test('over TCP', async () => {
  await listen((socket) => socket.write(GREETING), 0);
  const { port } = server.address() as AddressInfo;
  await probeNbdServer({ type: 'inet', host: '127.0.0.1', port }, { timeoutMs: 1000 });
});

test.each<[string, (socket: Socket) => unknown, string]>([
  ['says nothing', () => undefined, 'silent for 50 ms'],
  ['says too little', (socket) => socket.write('NBDMAG'), 'silent for 50 ms'],
  ['speaks otherwise', (socket) => socket.write('HTTP/1.1 400 '), 'it does not speak NBD'],
  ['hangs up', (socket) => socket.end(), 'it hung up without a greeting'],
])('a server that %s is not', async (_what, onSocket, why) => {
  await listen(onSocket, path);
  const probe = probeNbdServer({ type: 'unix', path }, { timeoutMs: 50 });
  await expect(probe).rejects.toMatchObject({
    code: 'DRIVER_PEER_SILENT',
    message: `no NBD server answers at unix:${path}: ${why}`,
  });
});

test('nobody listens', async () => {
  await listen(() => undefined, path);
  const probe = probeNbdServer({ type: 'unix', path: `${path}x` }, { timeoutMs: 50 });
  await expect(probe).rejects.toThrow('ENOENT');
});

test('the caller aborts', async () => {
  await listen(() => undefined, path);
  const controller = new AbortController();
  const options = { timeoutMs: 5000, signal: controller.signal };
  const probe = probeNbdServer({ type: 'unix', path }, options);
  controller.abort();
  await expect(probe).rejects.toThrow('aborted');
  await expect(probeNbdServer({ type: 'unix', path }, options)).rejects.toThrow('aborted');
});
