import { LINE_FEED } from '../constants.js';
import { QmpProtocolError } from '../errors.js';

const FIRST_CAPACITY_BYTES = 4096;

/**
 * Cuts a stream of bytes into lines. Holds at most `maxLineBytes` of an unfinished line (in one
 * buffer that doubles, so that a peer that dribbles single bytes costs no more than one that does
 * not). Works on bytes: a UTF-8 sequence may be split anywhere.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #partial = Buffer.alloc(0);
  #partialBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes held of a line whose end has not come. */
  get pendingBytes(): number {
    return this.#partialBytes;
  }

  /**
   * Takes a chunk, gives the lines that it completes, without their LF. A line is valid until the
   * next is asked for.
   * @throws QmpProtocolError `QMP_LINE_TOO_LONG` before the bytes in excess are kept
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let start = 0;
    while (start < chunk.length) {
      const lineFeed = chunk.indexOf(LINE_FEED, start);
      const stop = lineFeed === -1 ? chunk.length : lineFeed;
      if (this.#partialBytes + stop - start > this.#maxLineBytes) {
        throw new QmpProtocolError(
          'QMP_LINE_TOO_LONG',
          `a line is longer than the limit of ${this.#maxLineBytes} bytes`,
        );
      }
      const piece = chunk.subarray(start, stop);
      if (lineFeed === -1) {
        this.#keep(piece);
        return;
      }
      start = lineFeed + 1;
      yield this.#complete(piece);
    }
  }

  #complete(piece: Uint8Array): Uint8Array {
    if (this.#partialBytes === 0) return piece;
    this.#keep(piece);
    const line = this.#partial.subarray(0, this.#partialBytes);
    this.#partial = Buffer.alloc(0);
    this.#partialBytes = 0;
    return line;
  }

  #keep(piece: Uint8Array): void {
    const neededBytes = this.#partialBytes + piece.length;
    if (neededBytes > this.#partial.length) {
      const capacityBytes = Math.max(neededBytes, 2 * this.#partial.length, FIRST_CAPACITY_BYTES);
      const grown = Buffer.allocUnsafe(Math.min(capacityBytes, Math.max(this.#maxLineBytes, 1)));
      grown.set(this.#partial.subarray(0, this.#partialBytes));
      this.#partial = grown;
    }
    this.#partial.set(piece, this.#partialBytes);
    this.#partialBytes = neededBytes;
  }
}
