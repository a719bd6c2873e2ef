import type { SessionEnd } from '@gannet/nbd';

interface DiskLink {
  sessions: number;
  writesSinceFlush: number;
}

/**
 * Knows whether the primary's writes all arrive here (invariant I5).
 *
 * QEMU's replication filter swallows write errors once COLO runs, and a quorum does so always, so the receiving end has
 * to notice: a connection that breaks, a write that fails, or the last connection of a disk that leaves, means that a
 * write may be missing, for ever.
 */
export class PrimaryLink {
  readonly #disks: ReadonlyMap<string, DiskLink>;
  #loss: string | undefined;
  #lossWasClean = false;

  constructor(
    disks: readonly string[],
    private readonly onLost: (reason: string) => void,
  ) {
    this.#disks = new Map(disks.map((name) => [name, { sessions: 0, writesSinceFlush: 0 }]));
  }

  /** Every disk has a connection. */
  get isConnected(): boolean {
    return this.#links.every(({ sessions }) => sessions > 0);
  }

  /** Why writes may be missing; undefined while none can be. */
  get loss(): string | undefined {
    return this.#loss;
  }

  /** Writes that no flush has followed. A PVM that has stopped for a checkpoint has flushed its last write. */
  get writesSinceFlush(): number {
    return this.#links.reduce((sum, { writesSinceFlush }) => sum + writesSinceFlush, 0);
  }

  /** It was lost between requests and after a flush: as it is when a PVM dies that had already stopped. */
  get lossWasClean(): boolean {
    return this.#lossWasClean;
  }

  opened(disk: string): void {
    if (this.#links.every(({ sessions }) => sessions === 0)) {
      // A copy begins from scratch: what an earlier one lost no longer matters.
      this.#loss = undefined;
      for (const link of this.#links) link.writesSinceFlush = 0;
    }
    this.#link(disk).sessions++;
  }

  closed(disk: string, end: SessionEnd): void {
    const link = this.#link(disk);
    link.sessions--;
    if (end.kind === 'lost') {
      const why = end.error?.message ?? 'closed by the peer';
      this.lose(`a connection of the primary broke: ${why}`, !end.midRequest);
    } else if (link.sessions === 0) {
      this.lose(`the primary disconnected from disk ${disk}`);
    }
  }

  /** From now on writes may be missing. */
  lose(reason: string, betweenRequests = false): void {
    if (this.#loss !== undefined) {
      // Another connection may have been cut in a worse place than the first.
      if (!betweenRequests) this.#lossWasClean = false;
      return;
    }
    this.#loss = reason;
    this.#lossWasClean = betweenRequests && this.writesSinceFlush === 0;
    this.onLost(reason);
  }

  /** A write that comes after the loss is refused, and QEMU swallows that: the loss is not clean any more. */
  wrote(disk: string): void {
    this.#link(disk).writesSinceFlush++;
    if (this.#loss !== undefined) this.#lossWasClean = false;
  }

  flushed(disk: string): void {
    this.#link(disk).writesSinceFlush = 0;
  }

  /** A commit closes the books; at COLO's start on writes of the mirror, which nobody flushes through to here. */
  epochBegins(): void {
    for (const link of this.#links) link.writesSinceFlush = 0;
  }

  get #links(): DiskLink[] {
    return [...this.#disks.values()];
  }

  #link(disk: string): DiskLink {
    const link = this.#disks.get(disk);
    if (!link) throw new RangeError(`no disk ${disk}`);
    return link;
  }
}
