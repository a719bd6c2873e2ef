import type { Duplex } from 'node:stream';

/** Writes the pieces in order, as one write if possible. `taken`: they were sent, or cannot be. */
export function writePieces(stream: Duplex, pieces: readonly Buffer[], taken: () => void): void {
  if (!stream.writable) {
    taken();
    return;
  }
  const last = pieces.length - 1;
  if (last > 0) stream.cork();
  for (let at = 0; at < last; at++) stream.write(pieces[at]);
  stream.write(pieces[last], taken);
  if (last > 0) stream.uncork();
}

/**
 * Ends our side and closes the stream when everything was sent, or after `closeMs`. Until then it
 * drops what it receives: if bytes were left unread, the kernel would send a reset, and the client
 * could lose its last replies.
 */
export function endAndDrain(stream: Duplex, closeMs: number): void {
  stream.resume();
  stream.end(() => stream.destroy());
  const timer = setTimeout(() => stream.destroy(), closeMs);
  timer.unref();
  stream.once('close', () => clearTimeout(timer));
}
