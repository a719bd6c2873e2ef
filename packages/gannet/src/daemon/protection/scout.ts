import type { PeerPulse, PeerStatus, PrimaryConfig, TermRecord } from '@gannet/contract';
import type { Readiness } from '../arbitration/may-protect.js';
import { PeerLink } from '../peer/peer-link.js';
import type { Credentials } from '../../tls/credentials.js';

/** What a secondary says of itself, as one that a new copy could go to. */
export function readinessOf(pulse: PeerPulse, status: PeerStatus | undefined): Readiness {
  if (pulse !== 'up' || status?.role !== 'secondary') return 'silent';
  const { state, vm, isLeaving = false } = status;
  return state === 'seeding' && vm === 'ready' && !isLeaving ? 'ready' : 'unready';
}

/**
 * Looks for a new secondary on behalf of a survivor, which listens itself and so hears of none. It
 * says nothing but its record: no VM is at its end of this link.
 */
export class Scout {
  readonly #link: PeerLink;

  constructor(config: PrimaryConfig, record: () => TermRecord, credentials?: Credentials) {
    const ignore = (): void => undefined;
    this.#link = PeerLink.dial(config.primary.peer, {
      ...{ ...config.peer, vm: config.vm, role: 'primary', credentials },
      status: () => ({ role: 'primary', state: 'none', epoch: 0, vm: 'awaited', record: record() }),
      ...{ onLiveness: ignore, onStatus: ignore, onRefused: ignore },
      onAsk: () => Promise.reject(new Error('this daemon is not a primary yet')),
    });
  }

  get readiness(): Readiness {
    return readinessOf(this.#link.state, this.#link.peer?.status);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}
