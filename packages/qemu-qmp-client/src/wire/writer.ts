import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** Sends text, in order. */
export type Write = (text: string) => void;

/** How to write to this stream; see tlsWriter for what is special about TLS. */
export function writerFor(stream: Duplex): Write {
  if (stream instanceof TLSSocket) return tlsWriter(stream);
  return (text) => {
    stream.write(text);
  };
}

/**
 * QEMU's monitor takes one byte each time its socket is readable (monitor_can_read,
 * monitor/monitor.c). Under TLS the rest of a record then lies decrypted in the library, while the
 * socket has nothing more to wake QEMU up: it goes on only when another record comes, and answers
 * each command one command late (seen with 7.2). So what is sent ends in a record of one byte, a
 * line feed, which QEMU's parser skips. Node.js joins writes that are queued into one record, hence
 * the wait for each to be done.
 */
function tlsWriter(stream: Duplex): Write {
  let queued = '';
  let busy = false;
  const flush = (): void => {
    busy = true;
    const text = queued;
    queued = '';
    stream.write(text, () => stream.write('\n', next));
  };
  const next = (): void => {
    busy = false;
    if (queued !== '') flush();
  };
  return (text) => {
    queued += text;
    if (!busy) flush();
  };
}
