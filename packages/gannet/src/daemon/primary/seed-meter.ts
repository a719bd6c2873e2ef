import type { SeedsView, SeedView } from '@gannet/contract';
import type { SeedProgress } from '@gannet/qmp-driver';

/** A burst of this length has faded to a third. */
const FADE_MS = 5000;

/** Rate and time left of a copy, of each disk and of all. */
export class SeedMeter {
  readonly #disks = new Map<string, DiskMeter>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @returns how the copy of this disk stands */
  update(progress: SeedProgress): SeedView {
    let disk = this.#disks.get(progress.device);
    if (!disk) this.#disks.set(progress.device, (disk = new DiskMeter(this.now)));
    return disk.update(progress);
  }

  get view(): SeedsView {
    const disks = Object.fromEntries([...this.#disks].map(([name, { view }]) => [name, view]));
    const views = Object.values(disks);
    const sum = (valueOf: (view: SeedView) => number): number =>
      views.reduce((total, view) => total + valueOf(view), 0);
    // Disks are copied side by side: the last one counts.
    const secondsLeft = views.some((view) => view.secondsLeft === null)
      ? null
      : Math.max(0, ...views.map((view) => view.secondsLeft ?? 0));
    return {
      doneBytes: sum(({ doneBytes }) => doneBytes),
      totalBytes: sum(({ totalBytes }) => totalBytes),
      rewrittenBytes: sum(({ rewrittenBytes = 0 }) => rewrittenBytes),
      bytesPerSec: sum(({ bytesPerSec }) => bytesPerSec),
      limitBytesPerSec: sum(({ limitBytesPerSec }) => limitBytesPerSec),
      secondsLeft,
      down: views.find(({ down }) => down !== null)?.down ?? null,
      disks,
    };
  }
}

class DiskMeter {
  #atMs: number | undefined;
  #doneBytes = 0;
  /** Before the guest's writes added to it. */
  #firstTotalBytes = 0;
  /** QEMU has not copied anything yet, that we know of. */
  #isCounting = true;
  #bytesPerSec = 0;
  /** How much of the time behind us the rate knows of: 0 at first, towards 1. */
  #weight = 0;
  view!: SeedView;

  constructor(private readonly now: () => number) {}

  update({ doneBytes, totalBytes, limitBytesPerSec, down }: SeedProgress): SeedView {
    this.#measure(doneBytes);
    // QEMU counts what there is to copy before it copies.
    if (this.#isCounting) this.#firstTotalBytes = totalBytes;
    this.#isCounting = doneBytes === 0;
    const bytesPerSec = this.#weight > 0 ? Math.round(this.#bytesPerSec / this.#weight) : 0;
    const leftBytes = Math.max(0, totalBytes - doneBytes);
    const isKnown = down === undefined && totalBytes > 0 && (bytesPerSec > 0 || leftBytes === 0);
    const secondsLeft = isKnown ? Math.ceil(leftBytes / Math.max(1, bytesPerSec)) : null;
    const rest = { secondsLeft, limitBytesPerSec, down: down ?? null };
    const rewrittenBytes = Math.max(0, totalBytes - this.#firstTotalBytes);
    this.view = { doneBytes, totalBytes, rewrittenBytes, bytesPerSec, ...rest };
    return this.view;
  }

  #measure(doneBytes: number): void {
    const nowMs = this.now();
    const spanMs = nowMs - (this.#atMs ?? nowMs);
    if (spanMs > 0) {
      const kept = Math.exp(-spanMs / FADE_MS);
      const rate = ((doneBytes - this.#doneBytes) * 1000) / spanMs;
      this.#bytesPerSec = kept * this.#bytesPerSec + (1 - kept) * Math.max(0, rate);
      this.#weight = kept * this.#weight + (1 - kept);
    }
    if (this.#atMs !== undefined && spanMs === 0) return;
    this.#atMs = nowMs;
    this.#doneBytes = doneBytes;
  }
}
