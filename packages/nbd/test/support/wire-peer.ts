import { Duplex } from 'node:stream';
import { NbdServer } from '../../src/index.js';
import type { NbdServerEvent, NbdServerOptions } from '../../src/index.js';
import * as bytes from './bytes.js';

/** Lets everything that has been queued in this process happen. */
export async function settle(turns = 4): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A client made of raw bytes, connected to a server without a socket. */
export class WirePeer {
  readonly events: NbdServerEvent[] = [];
  readonly server: NbdServer;
  readonly stream: Duplex;
  closed = false;
  /** While true the client takes no replies. */
  stuck = false;
  #chunks: Buffer[] = [];
  #release: (() => void) | undefined;

  constructor(
    options: NbdServerOptions,
    onEvent: (event: NbdServerEvent) => void = (event) => this.events.push(event),
  ) {
    this.server = new NbdServer({ ...options, onEvent });
    this.stream = new Duplex({
      allowHalfOpen: true,
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        this.#chunks.push(Buffer.from(chunk));
        if (this.stuck) this.#release = done;
        else done();
      },
    });
    this.stream.on('close', () => (this.closed = true));
    this.server.handle(this.stream);
  }

  send(...parts: readonly Buffer[]): void {
    for (const part of parts) this.stream.push(part);
  }

  /** Ends the client's side. */
  end(): void {
    this.stream.push(null);
  }

  unstick(): void {
    this.stuck = false;
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }

  /** What the server has sent since the last call. */
  async received(): Promise<Buffer> {
    await settle();
    return Buffer.concat(this.#chunks.splice(0));
  }

  /** Goes through the handshake. */
  async enter(
    name: string,
    { structured = false, extended = false, meta = false } = {},
  ): Promise<void> {
    this.send(bytes.clientFlags());
    if (structured) this.send(bytes.option(8));
    if (extended) this.send(bytes.option(11));
    if (meta) this.send(bytes.option(10, bytes.metaData(name, ['base:allocation'])));
    this.send(bytes.go(name));
    await this.received();
  }
}
