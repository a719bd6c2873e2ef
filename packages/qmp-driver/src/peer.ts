/**
 * Does an NBD server answer at all?
 *
 * `blockdev-add` of an NBD node connects and negotiates while it holds QEMU's main loop: against a peer
 * that accepts and then says nothing, QEMU 7.2 stands still with its guest, and not even `yank` helps
 * before negotiation is done (see NOTES.md). So a server has to show its greeting here first.
 */
import { connect, type Socket } from 'node:net';
import { LinkError } from './errors.js';
import type { ServerAddress } from './link.js';

/** NBDMAGIC: the first eight bytes of every NBD server (NBD proto.md, "Negotiation"). */
const NBD_MAGIC = Buffer.from('NBDMAGIC', 'ascii');

export interface ProbeOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects, waits for the server's greeting, and hangs up.
 * @throws LinkError `peer-silent`
 */
export async function probeNbdServer(server: ServerAddress, options: ProbeOptions): Promise<void> {
  const socket =
    server.type === 'unix'
      ? connect({ path: server.path })
      : connect({ host: server.host, port: Number(server.port) });
  try {
    await greetingOf(socket, options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LinkError(
      'peer-silent',
      `no NBD server answers at ${addressText(server)}: ${why}`,
      'Start the replicator, or free it if it hangs, before QEMU is told to connect.',
      { cause },
    );
  } finally {
    socket.destroy();
  }
}

export function addressText(server: ServerAddress): string {
  return server.type === 'unix' ? `unix:${server.path}` : `${server.host}:${server.port}`;
}

function greetingOf(socket: Socket, { timeoutMs, signal }: ProbeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onAbort = (): void => fail(new Error('aborted'));
    const timer = setTimeout(() => fail(new Error(`silent for ${timeoutMs} ms`)), timeoutMs);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      then();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    // Stays on after settling: an error event without a listener would end the process.
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('it hung up without a greeting')));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < NBD_MAGIC.length) return;
      if (received.subarray(0, NBD_MAGIC.length).equals(NBD_MAGIC)) settle(resolve);
      else fail(new Error('it does not speak NBD'));
    });
  });
}
