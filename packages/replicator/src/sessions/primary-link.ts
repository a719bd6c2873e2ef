import type { SessionEnd } from '@gannet/nbd';
import {
  type DiskLinkEvent,
  type DiskLinkState,
  diskLinkStep,
  LINK_REFUSALS,
} from './disk-link-state.js';

interface DiskLink {
  state: DiskLinkState;
  /** Something of the present copy was written. */
  hasWritten: boolean;
  writesSinceFlush: number;
}

/** Where a loss happened. */
interface LossDetails {
  /** The disk whose writes may be missing; all if it is not named. */
  readonly disk?: string;
  /** Between requests: nothing that was sent is missing. */
  readonly isBetweenRequests?: boolean;
}

/**
 * Knows whether all writes of the primary arrive here (invariant I5).
 *
 * QEMU's replication filter ignores write errors once COLO runs, and a quorum always does, so the
 * receiving end has to notice: a connection that breaks, a write that fails, or the last connection
 * of a disk that leaves, means that a write may be missing for good.
 *
 * The first copy has exports of its own, and its connection may break: QEMU's mirror keeps what
 * failed and sends it again after a resume. That ends, disk by disk, at one exact moment: when the
 * link's connection is opened. The primary opens it after the copy has caught up, and then checks
 * whether its mirror met an error; a break before that moment is seen there, a break after it here.
 *
 * Only a copy from the beginning makes up for what a disk has lost.
 */
export class PrimaryLink {
  readonly #disks: ReadonlyMap<string, DiskLink>;
  /** By disk, oldest first; what concerns all disks is under undefined. */
  readonly #losses = new Map<string | undefined, string>();
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
    return this.#links.every(({ state }) => {
      const hasCopy = 'copy' in state && state.copy === 'connected';
      return state.phase === 'copying' || state.phase === 'linked' || hasCopy;
    });
  }

  /** A disk whose copy could still break unnoticed: nothing may commit. */
  get unsealed(): string | undefined {
    return [...this.#disks].find(([, { state }]) => isCopying(state))?.[0];
  }

  /** Why writes may be missing; undefined while none can be. */
  get loss(): string | undefined {
    return this.#loss;
  }

  /** Writes that no flush followed. A PVM that has stopped for a checkpoint has flushed. */
  get writesSinceFlush(): number {
    return this.#links.reduce((sum, { writesSinceFlush }) => sum + writesSinceFlush, 0);
  }

  /** It was lost between requests and after a flush: as when a PVM dies that had stopped before. */
  get lossWasClean(): boolean {
    return this.#lossWasClean;
  }

  /**
   * @param mustFollow whether this may only be the link that follows a copy
   * @returns why the connection can't be taken, if it can't
   */
  opened(disk: string, mustFollow = false): string | undefined {
    const { phase } = this.#link(disk).state;
    const refusal = this.#take(disk, { kind: mustFollow ? 'follow' : 'link' });
    // The link before had left in good order: this one belongs to a new copy.
    if (refusal === undefined && phase === 'gone') this.#forgive(disk);
    return refusal;
  }

  /**
   * Whether a mirror may wait to go on with a copy of the disk that has brought something: then
   * another copy must not begin just because somebody connects.
   */
  isCopyAtStake(disk: string): boolean {
    const { state, hasWritten } = this.#link(disk);
    const mayGoOn = state.phase === 'copying' || (state.phase === 'interrupted' && state.isBroken);
    return mayGoOn && hasWritten;
  }

  /** A copy begins from the beginning. @returns why it can't, if it can't */
  copyBegins(disk: string): string | undefined {
    const refusal = this.#take(disk, { kind: 'begin' });
    if (refusal !== undefined) return refusal;
    this.#forgive(disk);
    return undefined;
  }

  /** It could not begin after all: there is no copy any more. */
  copyFailedToBegin(disk: string): void {
    const link = this.#link(disk);
    if (link.state.phase === 'copying') link.state = { phase: 'idle' };
  }

  /** A copy goes on after its connection broke. @returns why it can't, if it can't */
  copyResumes(disk: string): string | undefined {
    return this.#take(disk, { kind: 'resume' });
  }

  /** The connection of a copy has ended. */
  copyEnded(disk: string, end: SessionEnd): void {
    this.#ended(disk, 'copy-ends', end);
  }

  /** A link has ended. */
  closed(disk: string, end: SessionEnd): void {
    this.#ended(disk, 'link-ends', end);
  }

  /** A write did not get where it should, and the primary was told so. */
  writeFailed(disk: string, reason: string): void {
    // A copy that can still be resumed sends it again.
    if (!isCopying(this.#link(disk).state)) this.lose(reason, { disk });
  }

  /** From now on writes may be missing. */
  lose(reason: string, { disk, isBetweenRequests = false }: LossDetails = {}): void {
    if (!this.#losses.has(disk)) this.#losses.set(disk, reason);
    if (this.#loss !== undefined) {
      // Another connection may have been cut at a worse moment than the first.
      if (!isBetweenRequests) this.#lossWasClean = false;
      return;
    }
    this.#loss = reason;
    this.#lossWasClean = isBetweenRequests && this.writesSinceFlush === 0;
    this.onLost(reason);
  }

  /** What was lost can't be made up for by a provisional commit. */
  spoil(): void {
    this.#lossWasClean = false;
  }

  /** A write has come. One after a loss is refused, and QEMU ignores that: not clean any more. */
  wrote(disk: string): void {
    const link = this.#link(disk);
    link.writesSinceFlush++;
    link.hasWritten = true;
    if (this.#loss !== undefined) this.#lossWasClean = false;
  }

  /** A flush has come: the writes before it are on the primary's own disk. */
  flushed(disk: string): void {
    this.#link(disk).writesSinceFlush = 0;
  }

  /**
   * A commit closes the books; at COLO's start on writes of the mirror, which are never flushed.
   */
  epochBegins(): void {
    for (const link of this.#links) link.writesSinceFlush = 0;
  }

  /** @returns why the event is refused, if it is */
  #take(disk: string, event: DiskLinkEvent): string | undefined {
    const link = this.#link(disk);
    const step = diskLinkStep(link.state, event);
    if ('refusal' in step) {
      const loss = this.#losses.get(disk);
      return LINK_REFUSALS[step.refusal](disk) + (loss === undefined ? '' : `: ${loss}`);
    }
    link.state = step.to;
    return undefined;
  }

  #ended(disk: string, kind: 'copy-ends' | 'link-ends', end: SessionEnd): void {
    const link = this.#link(disk);
    const isBroken = end.kind === 'lost';
    const step = diskLinkStep(link.state, { kind, isBroken });
    if (!('to' in step)) return;
    link.state = step.to;
    if (!step.isLoss) return;
    if (end.kind === 'lost') {
      const why = end.error?.message ?? 'closed by the peer';
      this.lose(`a connection of the primary broke: ${why}`, {
        disk,
        isBetweenRequests: !end.midRequest,
      });
    } else {
      this.lose(`the primary disconnected from disk ${disk}`, { disk });
    }
  }

  /** The disk is copied from the beginning: what was lost of it no longer matters. */
  #forgive(disk: string): void {
    Object.assign(this.#link(disk), { hasWritten: false, writesSinceFlush: 0 });
    this.#losses.delete(disk);
    [this.#loss] = this.#losses.values();
    if (this.#loss === undefined) this.#lossWasClean = false;
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
  return { state: { phase: 'idle' }, hasWritten: false, writesSinceFlush: 0 };
}

function isCopying({ phase }: DiskLinkState): boolean {
  return phase === 'copying' || phase === 'interrupted';
}
