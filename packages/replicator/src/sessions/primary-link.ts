import type { SessionEnd } from '@gannet/nbd';

/** The link, and beside it, while it seeds over the same export, the mirror. */
const SESSIONS_MAX = 2;

/** How the first copy of one disk stands. */
type Copy =
  /** There is none, or its writes come through the link itself. */
  | 'none'
  /** Over a connection of its own that may break and come back: whoever copies keeps what failed, and sends it again. */
  | 'resumable'
  /** The link is up beside it: from here on every connection counts. */
  | 'sealed';

interface DiskLink {
  sessions: number;
  /** Connections of the copy that are in use; at most one. */
  copies: number;
  copy: Copy;
  writesSinceFlush: number;
}

/**
 * Knows whether the primary's writes all arrive here (invariant I5).
 *
 * QEMU's replication filter swallows write errors once COLO runs, and a quorum does so always, so the receiving end has
 * to notice: a connection that breaks, a write that fails, or the last connection of a disk that leaves, means that a
 * write may be missing, for ever.
 *
 * The first copy has an export of its own, whose connection may break: QEMU's mirror keeps what failed and sends it again
 * after a resume. That ends, disk by disk, at one exact moment: when the link's connection is opened (`sealed`). The
 * primary opens it after the copy has caught up, and looks afterwards whether its mirror has met an error meanwhile; so a
 * break before that moment is seen there, and one after it is a loss here.
 */
export class PrimaryLink {
  readonly #disks: ReadonlyMap<string, DiskLink>;
  #loss: string | undefined;
  #lossWasClean = false;

  constructor(
    disks: readonly string[],
    private readonly onLost: (reason: string) => void,
  ) {
    this.#disks = new Map(disks.map((name) => [name, newLink()]));
  }

  /** Every disk has a connection. */
  get isConnected(): boolean {
    return this.#links.every(({ sessions, copies }) => sessions + copies > 0);
  }

  /** A disk whose copy could still break unnoticed: nothing may commit. */
  get unsealed(): string | undefined {
    return [...this.#disks].find(([, { copy }]) => copy === 'resumable')?.[0];
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

  /**
   * @param mustFollow whether this may only be the link that follows a copy
   * @returns why the connection can't be taken, if it can't
   */
  opened(disk: string, mustFollow = false): string | undefined {
    const link = this.#link(disk);
    if (mustFollow && link.copy !== 'resumable') return unknownCopy(disk);
    if (link.sessions >= SESSIONS_MAX)
      return `the primary's links of disk ${disk} are open already`;
    if (link.copy === 'resumable') {
      if (link.copies === 0) return `the copy of disk ${disk} has broken off`;
      link.copy = 'sealed';
    }
    this.#forgetIfUnused();
    link.sessions++;
    return undefined;
  }

  /** A copy begins from scratch. @returns why it can't, if it can't */
  copyBegins(disk: string): string | undefined {
    const link = this.#link(disk);
    this.#forgetIfUnused();
    if (this.#loss !== undefined || link.sessions > 0 || link.copy === 'sealed') {
      return `an earlier link of the primary is still open: ${this.#loss ?? 'whole'}`;
    }
    link.copy = 'resumable';
    link.copies = 1;
    return undefined;
  }

  /** A copy goes on after its connection broke. @returns why it can't, if it can't */
  copyResumes(disk: string): string | undefined {
    const link = this.#link(disk);
    if (link.copy === 'none')
      return `this replicator knows of no copy of disk ${disk} to go on with`;
    if (link.copy === 'sealed') return `the copy of disk ${disk} was complete when it broke off`;
    link.copies = 1;
    return undefined;
  }

  copyEnded(disk: string, end: SessionEnd): void {
    const link = this.#link(disk);
    link.copies = 0;
    if (link.copy === 'sealed') this.#ended(disk, end);
  }

  closed(disk: string, end: SessionEnd): void {
    this.#link(disk).sessions--;
    this.#ended(disk, end);
  }

  /** The base did not take a write, and the primary was told so. */
  writeFailed(disk: string, reason: string): void {
    // A copy that can still be resumed sends it again.
    if (this.#link(disk).copy !== 'resumable') this.lose(reason);
  }

  #ended(disk: string, end: SessionEnd): void {
    const { sessions } = this.#link(disk);
    if (end.kind === 'lost') {
      const why = end.error?.message ?? 'closed by the peer';
      this.lose(`a connection of the primary broke: ${why}`, !end.midRequest);
    } else if (sessions === 0) {
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

  /** A copy begins from scratch: what an earlier one lost no longer matters. */
  #forgetIfUnused(): void {
    if (this.#links.some(({ sessions, copies }) => sessions + copies > 0)) return;
    this.#loss = undefined;
    for (const link of this.#links) Object.assign(link, newLink());
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

function newLink(): DiskLink {
  return { sessions: 0, copies: 0, copy: 'none', writesSinceFlush: 0 };
}

function unknownCopy(disk: string): string {
  return `this replicator knows of no copy of disk ${disk} to go on with`;
}
