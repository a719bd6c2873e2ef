import type { SessionEnd } from '@gannet/nbd';

/**
 * Knows whether the primary's writes all arrive here (invariant I5).
 *
 * QEMU's replication filter swallows write errors once COLO runs, so the receiving end has to notice: a connection
 * that breaks, or the last one that leaves, means that a write may be missing, for ever.
 */
export class PrimaryLink {
  #sessions = 0;
  #loss: string | undefined;
  #lossWasClean = false;
  #writesSinceFlush = 0;

  constructor(private readonly onLost: (reason: string) => void) {}

  get isConnected(): boolean {
    return this.#sessions > 0;
  }

  /** Why writes may be missing; undefined while none can be. */
  get loss(): string | undefined {
    return this.#loss;
  }

  /** Writes that no flush has followed. A PVM that has stopped for a checkpoint has flushed its last write. */
  get writesSinceFlush(): number {
    return this.#writesSinceFlush;
  }

  /** It was lost between requests and after a flush: as it is when a PVM dies that had already stopped. */
  get lossWasClean(): boolean {
    return this.#lossWasClean;
  }

  opened(): void {
    if (this.#sessions === 0) {
      // A copy begins from scratch: what an earlier one lost no longer matters.
      this.#loss = undefined;
      this.#writesSinceFlush = 0;
    }
    this.#sessions++;
  }

  closed(end: SessionEnd): void {
    this.#sessions--;
    if (end.kind === 'lost') {
      const why = end.error?.message ?? 'closed by the peer';
      this.lose(`a connection of the primary broke: ${why}`, !end.midRequest);
    } else if (this.#sessions === 0) {
      this.lose('the primary disconnected');
    }
  }

  /** From now on writes may be missing. */
  lose(reason: string, betweenRequests = false): void {
    if (this.#loss !== undefined) return;
    this.#loss = reason;
    this.#lossWasClean = betweenRequests && this.#writesSinceFlush === 0;
    this.onLost(reason);
  }

  wrote(): void {
    this.#writesSinceFlush++;
  }

  flushed(): void {
    this.#writesSinceFlush = 0;
  }
}
