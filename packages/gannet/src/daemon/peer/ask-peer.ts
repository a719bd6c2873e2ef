import type { PrimaryConfig } from '@gannet/contract';
import { PeerLink } from './peer-link.js';

const TIMEOUT_MS = 2000;

/**
 * Asks the secondary's daemon for its `inspect` report while no primary daemon runs: a peer link is
 * opened for this one question.
 *
 * @throws GannetError GANNET_PEER_UNREACHABLE, GANNET_PEER_FAILED
 */
export async function askPeer({ primary, peer, vm }: PrimaryConfig): Promise<unknown> {
  const ignore = (): void => undefined;
  const link = PeerLink.dial(primary.peer, {
    ...peer,
    vm,
    role: 'primary',
    status: () => ({ role: 'primary', state: 'none', epoch: 0, vm: 'awaited', link: 'none' }),
    onLiveness: ignore,
    onStatus: ignore,
    onNotice: () => false,
    onRefused: ignore,
    onAsk: () => Promise.reject(new Error('no daemon runs here')),
  });
  try {
    return await link.ask(TIMEOUT_MS);
  } finally {
    await link.close();
  }
}
