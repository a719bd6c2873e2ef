import { rename } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Takes the place of a listening unix socket, and counts what passes. */
export class ByteCounter {
  bytes = 0;
  readonly #sockets: Socket[] = [];

  private constructor(private readonly server: Server) {}

  static async between(path: string): Promise<ByteCounter> {
    const behind = `${path}-behind`;
    await rename(path, behind);
    const server = createServer();
    const counter = new ByteCounter(server);
    server.on('connection', (from) => counter.#join(from, connect(behind)));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return counter;
  }

  close(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(one: Socket, other: Socket): void {
    this.#sockets.push(one, other);
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      from.on('data', (chunk) => (this.bytes += chunk.length));
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  }
}
