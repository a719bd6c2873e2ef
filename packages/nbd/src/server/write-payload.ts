// A WRITE's payload is not assembled. It goes to the session straight from the receive buffer, as
// far as it has come; where a payload spans buffers it is split at a multiple of 4096 on the disk,
// and what is short of one is carried over in a small buffer until the page is complete. So a
// session sees whole pages wherever the client sent whole pages.

/** A long WRITE is split where the disk offset is a multiple of this. */
export const SPLIT_BYTES = 4096;

/**
 * Splits one payload at a time; `write` gets the pieces, whose data is valid only during the call.
 */
export class WritePayload {
  readonly #write: (offset: number, data: Buffer) => void;
  /** Where the next byte that was not handed over belongs on the disk. */
  #diskOffset = 0;
  #left = 0;
  #isWanted = false;
  readonly #carry = Buffer.alloc(SPLIT_BYTES);
  #carryFill = 0;

  constructor(write: (offset: number, data: Buffer) => void) {
    this.#write = write;
  }

  /** Bytes still to be received. */
  get left(): number {
    return this.#left;
  }

  /** Begins a payload; one that is not wanted is received and dropped. */
  begin(offset: number, length: number, wanted: boolean): void {
    this.#diskOffset = offset;
    this.#left = length;
    this.#isWanted = wanted;
    this.#carryFill = 0;
  }

  /** Drops what is left of the payload. */
  discard(): void {
    this.#isWanted = false;
  }

  /** Takes what there is of the payload from `at` on; returns where it ends. */
  take(bytes: Buffer, at: number): number {
    const end = at + Math.min(this.#left, bytes.length - at);
    this.#left -= end - at;
    if (!this.#isWanted) return end;
    const from = this.#carryFill > 0 ? this.#completeCarry(bytes, at, end) : at;
    if (from < end) this.#split(bytes, from, end);
    return end;
  }

  /** Adds to the page that was begun in an earlier buffer; returns what is used up to. */
  #completeCarry(bytes: Buffer, at: number, end: number): number {
    const pageLeft = SPLIT_BYTES - ((this.#diskOffset + this.#carryFill) % SPLIT_BYTES);
    const copied = Math.min(pageLeft, end - at);
    bytes.copy(this.#carry, this.#carryFill, at, at + copied);
    this.#carryFill += copied;
    if (copied === pageLeft || (at + copied === end && this.#left === 0)) {
      const fill = this.#carryFill;
      this.#carryFill = 0;
      this.#handOver(this.#carry.subarray(0, fill));
    }
    return at + copied;
  }

  #split(bytes: Buffer, at: number, end: number): void {
    if (this.#left === 0) {
      this.#handOver(bytes.subarray(at, end));
      return;
    }
    const beyondPage = (this.#diskOffset + end - at) % SPLIT_BYTES;
    const split = Math.max(at, end - beyondPage);
    if (split > at) this.#handOver(bytes.subarray(at, split));
    this.#carryFill = bytes.copy(this.#carry, 0, split, end);
  }

  #handOver(data: Buffer): void {
    const offset = this.#diskOffset;
    this.#diskOffset += data.length;
    if (this.#isWanted) this.#write(offset, data);
  }
}
