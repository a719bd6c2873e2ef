/** Progress bars and tables. A bar redraws itself on a terminal; elsewhere it is plain lines. */
import { formatBytes } from '@gannet/contract/format';

const BAR_CELLS = 30;
const BAR_CELLS_MIN = 6;
const LINE_EVERY_MS = 1000;
/** Before that, a mean rate is not known. */
const MEASURED_SECONDS = 0.1;

/** Where to write; a Node.js stream is one. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** A measured rate. */
export interface Measured {
  readonly bytesPerSec: number;
  /** Null if unknown. */
  readonly secondsLeft: number | null;
  /** Shown at the end of the line, as many as there is room for. */
  readonly notes?: readonly string[];
}

/** A line that redraws itself on a terminal; elsewhere, a new line each second. */
export class ProgressBar {
  #startMs = performance.now();
  #lastLineMs = -Infinity;
  #isOpen = false;
  #isComplete = false;

  constructor(
    private readonly label: string,
    private readonly output: Output = process.stderr,
  ) {}

  /** @param measured rate and time left; default: the mean since the start */
  update(done: number, total: number, measured?: Measured): void {
    const now = performance.now();
    const isTTY = this.output.isTTY === true;
    const isComplete = done >= total;
    const isNews = isComplete ? !this.#isComplete : now - this.#lastLineMs >= LINE_EVERY_MS;
    if (!isTTY && !isNews) return;
    this.#lastLineMs = now;
    this.#isComplete = isComplete;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const {
      bytesPerSec: rate,
      secondsLeft: left,
      notes = [],
    } = measured ?? this.#mean(done, total);
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    const parts = [
      `${percent} %`,
      `${formatBytes(done)} of ${formatBytes(total)}`,
      `${formatBytes(rate)}/s`,
      left === null ? '- s left' : `${left} s left`,
    ];
    if (isTTY) {
      this.output.write(`\r\u001b[K${this.#inOneRow(share, [...parts, ...notes])}`);
      this.#isOpen = true;
    } else {
      const words = [...parts, ...(notes.length > 0 ? [notes.join('; ')] : [])];
      this.output.write(`${this.label} ${words.join('  ')}\n`);
    }
  }

  /**
   * What is wider than the terminal goes on in its next row, where \r does not get it back. So the
   * bar makes room first, then the last of the words.
   */
  #inOneRow(share: number, parts: readonly string[]): string {
    const { columns = Infinity } = this.output;
    // A character in the last column may already begin the next row.
    const room = columns - 1;
    const words = parts.join('  ');
    const cells = Math.min(BAR_CELLS, room - this.label.length - words.length - 2);
    if (cells >= BAR_CELLS_MIN) {
      const filled = Math.round(share * cells);
      return `${this.label} ${'█'.repeat(filled)}${'░'.repeat(cells - filled)} ${words}`;
    }
    const fitting = parts
      .map((_, at) => `${this.label} ${parts.slice(0, parts.length - at).join('  ')}`)
      .find((text) => text.length <= room);
    return fitting ?? this.label.slice(0, room);
  }

  #mean(done: number, total: number): Measured {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const leftBytes = Math.max(0, total - done);
    // What is done in the first moment says nothing about the rest.
    const isMeasured = seconds >= MEASURED_SECONDS && done > 0;
    const bytesPerSec = isMeasured ? done / seconds : 0;
    const left = isMeasured ? Math.ceil(leftBytes / bytesPerSec) : null;
    return { bytesPerSec, secondsLeft: leftBytes === 0 ? 0 : left };
  }

  /** Moves the cursor to a new line. */
  end(): void {
    if (this.#isOpen) this.output.write('\n');
    this.#isOpen = false;
  }
}

/**
 * A line in lines of at most `columns`, broken at spaces; a word that is longer than that is broken
 * too, so that nothing is lost.
 *
 * @param indent of the lines after the first, less where there is little room
 */
export function wrap(line: string, columns: number, indent = 0): string[] {
  const margin = ' '.repeat(Math.min(indent, Math.floor(columns / 3)));
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns);
    const isWord = space < 0 || rest.slice(0, space).trim() === '';
    const at = isWord ? columns : space;
    lines.push(rest.slice(0, at).trimEnd());
    rest = margin + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Rows of label and value, aligned in columns. */
export function formatTable(rows: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}\n`).join('');
}
