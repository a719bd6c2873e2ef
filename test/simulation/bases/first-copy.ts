// The first copy of all disks, and what comes in its way.

import type { Random } from '@gannet/test-support/random.js';
import type { Base } from './base-files.js';
import { Copy } from './copy.js';
import type { Peer } from './peer.js';
import type { Plan } from './plan.js';
import type { Side } from './side.js';
import type { Sparse } from './sparse.js';

/** Opens a connection of the primary's host to an export. */
type Connect = (name: string, isExtended: boolean) => Peer;

export class FirstCopy {
  readonly #copies: readonly Copy[];
  readonly #strangers: Peer[] = [];

  constructor(
    private readonly plan: Plan,
    private readonly random: Random,
    private readonly bases: readonly Base[],
    private readonly connect: Connect,
    primary: Side,
    private readonly note: (what: string) => void,
  ) {
    if (!plan.isLinkOnly) for (const disk of bases.keys()) this.#fill(primary.disks[disk], disk);
    this.#copies = bases.map(({ kind, sizeBytes }, disk) => {
      return new Copy(random, primary, {
        ...{ disk, sizeBytes, isZero: kind !== 'full', isLinkOnly: plan.isLinkOnly, note },
        connect: (suffix) => connect(`${this.#prefix(disk)}pvm${suffix}`, plan.isExtended),
      });
    });
    primary.senders = this.#copies.map(({ send }) => send);
  }

  get isUnderWay(): boolean {
    return this.#copies.some(({ phase }) => phase !== 'linked' && phase !== 'given up');
  }

  get isGivenUp(): boolean {
    return this.#copies.some(({ phase }) => phase === 'given up');
  }

  /** Nothing is left but what is under way: the guest is held for a moment. */
  get isClosing(): boolean {
    return this.#copies.some(({ isClosing }) => isClosing);
  }

  toString(): string {
    return this.#copies.join('; ');
  }

  act(): void {
    this.random.pick(this.#copies).act();
  }

  /** What happens in a turn, and once in a run. */
  disturb(turn: number): void {
    const copy = this.random.pick(this.#copies);
    if (this.random.chance(this.plan.breaks)) copy.breaks(this.random.chance(0.5));
    if (this.random.chance(0.01)) copy.cutHanging();
    if (turn === this.plan.againAt) this.random.pick(this.#copies).beginsAgain();
    if (!this.random.chance(this.plan.strangers) || this.#strangers.length > 2) return;
    this.note('a stranger looks at the export of the copy');
    this.#strangers.push(this.connect(`${this.#prefix(0)}pvm-seed`, this.random.chance(0.5)));
  }

  /** A link breaks before COLO runs, and QEMU connects it again by itself. */
  breakLinks(): void {
    this.note('the links break, and are connected again');
    for (const copy of this.#copies) copy.reconnects();
  }

  /** The primary dies. */
  cut(): void {
    for (const copy of this.#copies) copy.cut();
  }

  /** As `qemu-img info` does: it leaves again. */
  strangerActs(): void {
    const stranger = this.#strangers[0];
    if (!stranger?.isOpen && !stranger?.isClosed) return;
    stranger.disconnect();
    this.#strangers.shift();
  }

  /** What the primary has before the copy begins. */
  #fill(contents: Sparse | undefined, disk: number): void {
    const end = (this.bases[disk]?.sizeBytes ?? 0) - 4096;
    for (let writes = 0; writes < 4; writes++) {
      const offset = this.random.pick([0, end, Math.floor(end / 2 / 4096) * 4096]);
      contents?.write(offset, this.random.bytes(700));
    }
  }

  #prefix(disk: number): string {
    return this.bases.length === 1 ? '' : `${this.bases[disk]?.name ?? ''}-`;
  }
}
