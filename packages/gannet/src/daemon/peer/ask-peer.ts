import type { PeerStatus, PrimaryConfig } from '@gannet/contract';
import { readTermFile } from '../terms/term-store.js';
import { PeerLink } from './peer-link.js';

/**
 * Asks the secondary's daemon for its `inspect` report while no primary daemon runs: a peer link is
 * opened for this one question.
 *
 * @throws GannetError GANNET_PEER_UNREACHABLE, GANNET_PEER_FAILED; GANNET_CONFIG for the term file
 */
export async function askPeer(config: PrimaryConfig): Promise<unknown> {
  const { primary, peer, vm, termFile } = config;
  const record = await readTermFile(termFile, vm);
  const ignore = (): void => undefined;
  const status: PeerStatus = {
    ...{ role: 'primary', state: 'none', epoch: 0, vm: 'awaited' },
    record,
  };
  const link = PeerLink.dial(primary.peer, {
    ...peer,
    vm,
    role: 'primary',
    status: () => status,
    onLiveness: ignore,
    onStatus: ignore,
    onRefused: ignore,
    onAsk: () => Promise.reject(new Error('no daemon runs here')),
  });
  try {
    return await link.ask();
  } finally {
    await link.close();
  }
}
