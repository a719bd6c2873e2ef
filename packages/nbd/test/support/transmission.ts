/** A client in the transmission phase, and exports that do what a test needs. */
import { MemoryExport } from '../../src/index.js';
import type { ExportSession, NbdExport } from '../../src/index.js';
import * as bytes from './bytes.js';
import { WirePeer } from './wire-peer.js';

export const SIZE = 64 * 1024;
export const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZERO, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7];
export const [FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO] = [1, 2, 4, 8, 16];

/** An export whose session differs from a MemoryExport's in some methods. */
export function altered(
  changes: Partial<ExportSession>,
  disk = new MemoryExport('disk', SIZE),
): NbdExport {
  const { name, sizeBytes, features, blockSize } = disk;
  return { name, sizeBytes, features, blockSize, open: () => ({ ...disk.open(), ...changes }) };
}

export async function entered(
  target: NbdExport = new MemoryExport('disk', SIZE),
  how: { structured?: boolean; meta?: boolean } = {},
): Promise<WirePeer> {
  const peer = new WirePeer({ exports: [target] });
  await peer.enter('disk', how);
  return peer;
}

export async function exchange(
  peer: WirePeer,
  sent: readonly Buffer[],
  readLengths: Record<string, number> = {},
): Promise<bytes.Reply[]> {
  peer.send(...sent);
  return bytes.takeReplies(await peer.received(), readLengths);
}

/** A WRITE's payload is part of the request even where it is refused. */
export const payload = Buffer.alloc(512, 'p');
