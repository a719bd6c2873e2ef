/** Where contenders listen, and whether they are listening. */
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';

export type Transport = 'unix' | 'tcp';

/** Where an NBD server listens. */
export type Endpoint =
  | { readonly transport: 'unix'; readonly path: string }
  | { readonly transport: 'tcp'; readonly port: number };

export async function endpointFor(transport: Transport, folder: string): Promise<Endpoint> {
  if (transport === 'unix') return { transport, path: path.join(folder, 'nbd.sock') };
  return { transport, port: await freePort() };
}

/** As libnbd writes it: what fio and qemu-img take. */
export function uriOf(endpoint: Endpoint, exportName = ''): string {
  return endpoint.transport === 'unix'
    ? `nbd+unix:///${exportName}?socket=${endpoint.path}`
    : `nbd://127.0.0.1:${endpoint.port}/${exportName}`;
}

export function answers(endpoint: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      endpoint.transport === 'unix' ? connect(endpoint.path) : connect(endpoint.port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Nobody else's a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
