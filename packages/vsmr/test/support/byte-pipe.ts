import { Duplex } from 'node:stream';
import type { Random } from '@gannet/test-support/random.js';

/** Of the event loop, at most. */
const LATE_TURNS = 8;

/** Two ends of a connection in memory. */
export class BytePipe {
  readonly ends: readonly [BytePipeEnd, BytePipeEnd];
  /** Bytes that went either way. */
  passed = 0;

  /**
   * @param cutAt after so many bytes the connection breaks, in the midst of a frame or not
   * @param random how late bytes come, and in which pieces. Default: at once
   */
  constructor(
    private readonly cutAt = Infinity,
    readonly random?: Random,
  ) {
    const ends: [BytePipeEnd, BytePipeEnd] = [new BytePipeEnd(this), new BytePipeEnd(this)];
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    this.ends = ends;
  }

  cut(): void {
    for (const end of this.ends) end.destroy();
  }

  /** How much of a write gets through. */
  admit(bytes: number): number {
    const admitted = Math.min(bytes, this.cutAt - this.passed);
    this.passed += admitted;
    return admitted;
  }
}

class BytePipeEnd extends Duplex {
  peer: BytePipeEnd | undefined;
  #goOn: (() => void) | undefined;

  constructor(private readonly cable: BytePipe) {
    super({ readableHighWaterMark: 256, writableHighWaterMark: 256 });
    this.on('error', () => undefined);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { random } = this.cable;
    if (random === undefined) return this.#deliver(chunk, done);
    const length = 1 + random.below(chunk.length);
    const rest = chunk.subarray(length);
    const deliver = (): void =>
      this.#deliver(chunk.subarray(0, length), () => {
        if (rest.length > 0) this._write(rest, 'utf8', done);
        else done();
      });
    let turns = random.below(LATE_TURNS);
    const wait = (): void => {
      if (turns-- > 0) setImmediate(wait);
      else deliver();
    };
    wait();
  }

  #deliver(chunk: Buffer, done: () => void): void {
    const { peer } = this;
    const admitted = this.cable.admit(chunk.length);
    if (peer === undefined || peer.destroyed) return done();
    const wantsMore = peer.push(chunk.subarray(0, admitted));
    if (admitted < chunk.length) return void setImmediate(() => this.cable.cut());
    if (wantsMore) done();
    else peer.#goOn = done;
  }

  override _read(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    const { peer } = this;
    if (peer !== undefined && !peer.destroyed) peer.push(null);
    done();
  }
}
