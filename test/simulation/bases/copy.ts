// The first copy of one disk: QEMU's mirror, which keeps what failed and sends it again, and the
// link that follows it. Its connection breaks or hangs, strangers look at the export, and a second
// copy begins while the first is under way.

import type { Random } from '@gannet/test-support/random.js';
import type { Peer } from './peer.js';
import { type Change, isFree, type Range, type Send, sendTo, type Side } from './side.js';

type Phase = 'connecting' | 'copying' | 'linking' | 'linked' | 'given up';

const IN_FLIGHT_MAX = 4;
/** As NBD has it. */
const ESHUTDOWN = 108;
const LONGEST_PIECE = 2 ** 31;
const PAGE_BYTES = 4096;

export interface CopyOptions {
  readonly disk: number;
  readonly sizeBytes: number;
  /** Whether the base reads as zeros, so that zeros need not be copied. */
  readonly isZero: boolean;
  /** Whether the disks were copied by other means: there is only the link. */
  readonly isLinkOnly: boolean;
  readonly connect: (suffix: '' | '-seed' | '-resume' | '-link') => Peer;
  readonly note: (what: string) => void;
}

export class Copy {
  phase: Phase = 'connecting';
  readonly send: Send = (change, done) => this.#send(change, done);
  #peer: Peer;
  #link: Peer | undefined;
  #dirty: Range[] = [];
  #inFlight = 0;
  /** Changes of the guest on their way to the copy. */
  #underWay = 0;
  #isResuming = false;
  /** Connections that hang: they are cut later. */
  readonly #hanging: Peer[] = [];

  constructor(
    private readonly random: Random,
    private readonly side: Side,
    private readonly options: CopyOptions,
  ) {
    this.#peer = options.connect(options.isLinkOnly ? '' : '-seed');
    this.#forget();
  }

  /** Nothing is left but what is under way: the guest is held for a moment. */
  get isClosing(): boolean {
    if (this.options.isLinkOnly && this.#link === undefined) return true;
    return this.phase === 'linking' || (this.phase === 'copying' && this.#dirty.length === 0);
  }

  toString(): string {
    const { phase } = this;
    const peer = this.#peer.isOpen ? 'open' : this.#peer.isClosed ? 'closed' : 'opening';
    return `${phase}, ${this.#dirty.length} left, ${this.#inFlight} under way, connection ${peer}`;
  }

  /** Something is sent, or a connection is made. */
  act(): void {
    switch (this.phase) {
      case 'connecting':
        return this.#connected();
      case 'copying':
        return this.#copy();
      case 'linking':
        return this.#linked();
      default:
        return;
    }
  }

  /** The connection is lost; one that hangs still brings what was sent over it. */
  breaks(hangs: boolean): void {
    if (this.phase !== 'copying') return;
    this.options.note(`the copy of disk ${this.options.disk} ${hangs ? 'hangs' : 'breaks'}`);
    if (hangs) this.#hanging.push(this.#peer);
    else this.#peer.socket.cut(this.random.pick(['fin', 'reset']));
    this.#peer.lose();
  }

  /** The operator begins again. The first copy is cancelled; what it has sent may still arrive. */
  beginsAgain(): void {
    if (this.phase !== 'copying' || this.options.isLinkOnly) return;
    this.options.note(`the copy of disk ${this.options.disk} begins again`);
    this.#hanging.push(this.#peer);
    this.#peer.lose();
    this.#forget();
    this.#connect('-seed');
  }

  cutHanging(): void {
    for (const peer of this.#hanging.splice(0)) peer.socket.cut('reset');
  }

  /** The link breaks, and QEMU connects it again by itself. */
  reconnects(): void {
    if (this.phase !== 'linked') return;
    this.#link?.socket.cut(this.random.pick(['fin', 'reset']));
    this.#link?.lose();
    this.#peer = this.options.connect('');
    this.phase = 'connecting';
  }

  /** The primary dies. */
  cut(): void {
    for (const peer of [this.#peer, this.#link, ...this.#hanging]) {
      peer?.socket.cut(this.random.pick(['fin', 'reset']));
      peer?.lose();
    }
    this.phase = 'given up';
  }

  #connected(): void {
    if (this.#peer.isOpen) {
      this.phase = this.options.isLinkOnly ? 'linked' : 'copying';
      if (this.options.isLinkOnly) this.#link = this.#peer;
      return;
    }
    if (!this.#peer.isClosed) return;
    if (this.options.isLinkOnly) {
      this.phase = 'given up';
      return;
    }
    // Refused: from the beginning.
    if (this.#isResuming) this.#forget();
    this.#connect('-seed');
  }

  #copy(): void {
    if (this.#peer.isClosed) return this.#connect('-resume');
    const busy = this.side.busy[this.options.disk] ?? [];
    const range = this.#dirty[0];
    if (range === undefined) {
      const isQuiet = this.#inFlight === 0 && this.#underWay === 0;
      if (!isQuiet) return;
      this.#link = this.options.connect('-link');
      this.phase = 'linking';
      return;
    }
    if (this.#inFlight >= IN_FLIGHT_MAX || !isFree(busy, range)) return;
    this.#dirty.shift();
    const [first, ...rest] = this.#changesOf(range);
    this.#dirty.unshift(...rest);
    if (first === undefined) return;
    this.#inFlight++;
    busy.push(first);
    const peer = this.#peer;
    sendTo(peer, first, (errno) => {
      busy.splice(busy.indexOf(first), 1);
      this.#inFlight--;
      if (errno !== 0) this.#failed(peer, { offset: first.offset, length: first.length }, errno);
    });
  }

  /** What a range holds now: data, and zeros around it. */
  #changesOf({ offset, length }: Range): Change[] {
    const contents = this.side.disks[this.options.disk];
    const end = offset + length;
    const changes: Change[] = [];
    let from = offset;
    for (const page of contents?.written ?? []) {
      const [start, stop] = [Math.max(page, offset), Math.min(page + PAGE_BYTES, end)];
      if (start >= stop) continue;
      if (start > from) changes.push(...pieces({ offset: from, length: start - from }));
      const data = contents?.read(start, stop - start);
      changes.push({ offset: start, length: stop - start, ...(data && { data }) });
      from = stop;
    }
    if (from < end) changes.push(...pieces({ offset: from, length: end - from }));
    return changes;
  }

  /** As the driver: with the link open, it looks whether the mirror has met an error. */
  #linked(): void {
    const link = this.#link;
    if (link?.isClosed) this.phase = 'given up';
    if (!link?.isOpen || this.#inFlight > 0 || this.#underWay > 0) return;
    if (this.#dirty.length > 0 || this.#peer.isClosed) {
      this.phase = 'given up';
      return;
    }
    this.#peer.disconnect();
    this.phase = 'linked';
  }

  #send(change: Change, done: (errno: number) => void): void {
    if (this.phase === 'linked') return sendTo(this.#link as Peer, change, done);
    const { offset, length } = change;
    const range = { offset, length };
    // A mirror stops on errors of its target; the guest does not hear of them.
    if (!this.#peer.isOpen) {
      this.#dirty.push(range);
      return done(0);
    }
    this.#underWay++;
    const peer = this.#peer;
    sendTo(peer, change, (errno) => {
      this.#underWay--;
      if (errno !== 0) this.#failed(peer, range, errno);
      done(0);
    });
  }

  /** It is sent again; over another connection, if this one is served no more. */
  #failed(peer: Peer, range: Range, errno: number): void {
    this.#dirty.push(range);
    if (errno === ESHUTDOWN && peer === this.#peer && this.phase === 'copying') peer.lose();
  }

  #connect(suffix: '-seed' | '-resume'): void {
    this.#isResuming = suffix === '-resume';
    this.#peer = this.options.connect(suffix);
    this.phase = 'connecting';
  }

  /** All of the disk is to be copied; zeros only if the base may hold something else. */
  #forget(): void {
    const { sizeBytes, isZero, disk } = this.options;
    const written = this.side.disks[disk]?.written ?? [];
    const pages = written.map((offset) => {
      return { offset, length: Math.min(PAGE_BYTES, sizeBytes - offset) };
    });
    this.#dirty = isZero ? pages : [{ offset: 0, length: sizeBytes }];
  }
}

function* pieces({ offset, length }: Range): Generator<Range> {
  for (let done = 0; done < length; done += LONGEST_PIECE) {
    yield { offset: offset + done, length: Math.min(LONGEST_PIECE, length - done) };
  }
}
