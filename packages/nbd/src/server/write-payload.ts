/**
 * The payload of a WRITE is passed to the session from the receive buffer, as far as it has been
 * received. A payload that spans buffers is split at a disk offset that is a multiple of 4096; the
 * incomplete page is carried over in a small buffer. So a session gets whole pages if the client
 * sent whole pages.
 */

/** A long WRITE is split at disk offsets that are multiples of this. */
export const SPLIT_BYTES = 4096;

/** Splits one payload at a time. `write` gets the pieces; their data is valid during the call. */
export class WritePayload {
  readonly #write: (offset: number, data: Buffer) => void;
  /** The disk offset of the next byte that was not passed on. */
  #diskOffset = 0;
  #left = 0;
  #isWanted = false;
  readonly #carry = Buffer.alloc(SPLIT_BYTES);
  #carryFill = 0;

  constructor(write: (offset: number, data: Buffer) => void) {
    this.#write = write;
  }

  /** Bytes of the payload still to be received. */
  get left(): number {
    return this.#left;
  }

  /** Begins a payload. If it is not wanted, it is received and dropped. */
  begin(offset: number, length: number, isWanted: boolean): void {
    this.#diskOffset = offset;
    this.#left = length;
    this.#isWanted = isWanted;
    this.#carryFill = 0;
  }

  /** Drops the rest of the payload. */
  discard(): void {
    this.#isWanted = false;
  }

  /** Takes the part of the payload that begins at `at`. @returns where it ends */
  take(bytes: Buffer, at: number): number {
    const end = at + Math.min(this.#left, bytes.length - at);
    this.#left -= end - at;
    if (!this.#isWanted) return end;
    const from = this.#carryFill > 0 ? this.#completeCarry(bytes, at, end) : at;
    if (from < end) this.#split(bytes, from, end);
    return end;
  }

  /** Adds to the page that began in an earlier buffer. @returns how far `bytes` was used */
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
