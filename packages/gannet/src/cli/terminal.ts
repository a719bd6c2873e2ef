/** Progress and tables for people: a bar that redraws itself on a terminal, plain lines elsewhere. */
import { formatBytes } from '@gannet/contract/format';

export { formatBytes };

const BAR_CELLS = 30;
const LINE_EVERY_MS = 1000;

export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface Measured {
  readonly bytesPerSec: number;
  /** Null where nobody can say. */
  readonly secondsLeft: number | null;
  /** What else there is to say. */
  readonly note?: string;
}

/** One line that redraws itself at a terminal; elsewhere a line a second. */
export class ProgressBar {
  #startMs = performance.now();
  #lastLineMs = -Infinity;
  #isOpen = false;
  #isComplete = false;

  constructor(
    private readonly label: string,
    private readonly output: Output = process.stderr,
  ) {}

  /** @param measured what a better meter says of rate and time left; else the mean since the start counts */
  update(done: number, total: number, measured?: Measured): void {
    const now = performance.now();
    const isTTY = this.output.isTTY === true;
    const isComplete = done >= total;
    const isNews = isComplete ? !this.#isComplete : now - this.#lastLineMs >= LINE_EVERY_MS;
    if (!isTTY && !isNews) return;
    this.#lastLineMs = now;
    this.#isComplete = isComplete;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const { bytesPerSec: rate, secondsLeft: left, note = '' } = measured ?? this.#mean(done, total);
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    const text = `${percent} %  ${formatBytes(done)} of ${formatBytes(total)}  ${formatBytes(rate)}/s  ${left === null ? '-' : left} s left${note === '' ? '' : `  ${note}`}`;
    if (isTTY) {
      const filled = Math.round(share * BAR_CELLS);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
      this.output.write(`\r\u001b[K${this.label} ${bar} ${text}`);
      this.#isOpen = true;
    } else {
      this.output.write(`${this.label} ${text}\n`);
    }
  }

  #mean(done: number, total: number): Measured {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const bytesPerSec = seconds > 0 ? done / seconds : 0;
    const leftBytes = Math.max(0, total - done);
    return { bytesPerSec, secondsLeft: bytesPerSec > 0 ? Math.ceil(leftBytes / bytesPerSec) : 0 };
  }

  /** Leaves the cursor on a fresh line. */
  end(): void {
    if (this.#isOpen) this.output.write('\n');
    this.#isOpen = false;
  }
}

/** Rows of label and value, aligned. */
export function formatTable(rows: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}\n`).join('');
}
