/**
 * Does an NBD server answer at all?
 *
 * `blockdev-add` of an NBD node connects and negotiates while it holds QEMU's main loop: against a
 * peer that accepts and then says nothing, QEMU 7.2 stands still with its guest, and not even
 * `yank` helps before negotiation is done (see NOTES.md). So a server has to show its greeting here
 * first.
 */
import { connect, type Socket } from 'node:net';
import { LinkError } from '../errors.js';
import type { ServerAddress } from './disk-link.js';

/**
 * What every server sends first, two bytes of flags following (NBD proto.md, "Newstyle
 * negotiation").
 */
const GREETING = Buffer.from('NBDMAGICIHAVEOPT', 'ascii');
const GREETING_BYTES = GREETING.length + 2;
/** Client flags (fixed newstyle, no zeroes), then the option NBD_OPT_ABORT without data. */
const GOODBYE = Buffer.from([0, 0, 0, 3, ...Buffer.from('IHAVEOPT'), 0, 0, 0, 2, 0, 0, 0, 0]);

export interface ProbeOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects, waits for the server's greeting, and takes its leave.
 * @throws LinkError `DRIVER_PEER_SILENT`
 */
export async function probeNbdServer(server: ServerAddress, options: ProbeOptions): Promise<void> {
  const socket =
    server.type === 'unix'
      ? connect({ path: server.path })
      : connect({ host: server.host, port: Number(server.port) });
  try {
    await greetingOf(socket, options);
  } catch (cause) {
    socket.destroy();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LinkError(
      'DRIVER_PEER_SILENT',
      `no NBD server answers at ${serverText(server)}: ${why}`,
      'Start the replicator, or free it if it hangs, before QEMU is told to connect.',
      { cause },
    );
  }
  // Not just closed, which servers log as an error; nor waited for.
  socket.end(GOODBYE);
  socket.setTimeout(options.timeoutMs, () => socket.destroy());
  socket.unref();
}

export function serverText(server: ServerAddress): string {
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
      const compared = Math.min(received.length, GREETING.length);
      if (!received.subarray(0, compared).equals(GREETING.subarray(0, compared))) {
        fail(new Error('it does not speak NBD'));
      } else if (received.length >= GREETING_BYTES) {
        settle(resolve);
      }
    });
  });
}
