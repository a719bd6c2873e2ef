import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';

/** What may wait for a reader that has stopped reading. */
const PENDING_BYTES_MAX = 1024 * 1024;
const RETRY_MS = 10;
/** The reader is gone: nothing will be read any more. */
const GONE: ReadonlySet<string | undefined> = new Set(['EPIPE', 'EIO', 'ENXIO', 'EBADF']);

/**
 * The process's stderr as a stream that never blocks and never fails. Node's own stops the event
 * loop while the reader of a pipe or a terminal does not read, and throws when the reader is gone.
 * A daemon must keep working in both cases. What a reader does not take waits, up to a limit; then
 * whole chunks are dropped, and counted. Writes are synchronous, so the last line before an exit is
 * not lost.
 *
 * @param describeLoss what to write once the reader reads again, about the chunks that were dropped
 */
export function stderrStream(describeLoss: (chunks: number) => string): Writable {
  const output = new LossyOutput(nonBlocking(2), describeLoss);
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      output.write(chunk);
      done();
    },
  });
}

class LossyOutput {
  readonly #pending: Buffer[] = [];
  #pendingBytes = 0;
  #dropped = 0;
  #isGone = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly fd: number,
    private readonly describeLoss: (chunks: number) => string,
  ) {}

  write(chunk: Buffer): void {
    if (this.#isGone) return;
    if (this.#pendingBytes + chunk.length > PENDING_BYTES_MAX) this.#dropped++;
    else {
      this.#tellLoss();
      this.#append(chunk);
    }
    this.#flush();
  }

  /** In the place of what was dropped. */
  #tellLoss(): void {
    if (this.#dropped === 0) return;
    this.#append(Buffer.from(this.describeLoss(this.#dropped)));
    this.#dropped = 0;
  }

  #append(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
  }

  #flush(): void {
    if (this.#timer) return;
    for (;;) {
      if (this.#pending.length === 0) this.#tellLoss();
      const [chunk] = this.#pending;
      if (!chunk || !this.#put(chunk)) return;
    }
  }

  /** @returns whether the next one may be tried */
  #put(chunk: Buffer): boolean {
    let written: number;
    try {
      written = writeSync(this.fd, chunk);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#flush();
        }, RETRY_MS).unref();
        return false;
      }
      if (GONE.has(code)) {
        this.#isGone = true;
        this.#pending.length = 0;
        return false;
      }
      // Such as a full disk: later chunks may find room.
      this.#remove(chunk);
      this.#dropped++;
      return false;
    }
    if (written === chunk.length) this.#remove(chunk);
    else {
      this.#pending[0] = chunk.subarray(written);
      this.#pendingBytes -= written;
    }
    return true;
  }

  #remove(chunk: Buffer): void {
    this.#pending.shift();
    this.#pendingBytes -= chunk.length;
  }
}

/** A descriptor of the same file whose writes fail with EAGAIN instead of waiting. */
function nonBlocking(fd: number): number {
  const stats = fstatSync(fd);
  if (stats.isFIFO() || stats.isCharacterDevice()) {
    // One of our own: O_NONBLOCK belongs to the open file, which others may share.
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    try {
      return openSync(`/proc/self/fd/${fd}`, flags);
    } catch {
      return fd;
    }
  }
  if (stats.isSocket()) keep.push(new Socket({ fd, readable: false, writable: true }).unref());
  return fd;
}

/** Sets O_NONBLOCK when it is created, which Node.js has no other call for; it is never written. */
const keep: Socket[] = [];
