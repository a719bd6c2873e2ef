import { uptime } from 'node:os';
import type { LivenessLimits } from './peer-liveness.js';

/** A process that is busy reads no sooner than this, and is well. */
const USUAL_MS_MIN = 1000;
const WIDEST = 4;

/**
 * Milliseconds since the start of the machine. The time in which it was suspended counts, unlike
 * with `performance.now()`.
 */
export const bootMs = (): number => 1000 * uptime();

/**
 * Whoever was not heard for long may say first what it has said long ago: it was under way, or this
 * process or its machine was halted. It speaks for a QEMU, and is acted upon, so nothing old may
 * count. A new connection says what is.
 *
 * On a machine that is slow, everything is read late, on each connection again. So the limit grows
 * with each connection that fails by it, up to the time for which silence means nothing either; it
 * falls when all has come in time for that long. Pure: time comes in from outside.
 */
export class MessageAge {
  readonly #lowMs: number;
  readonly #usualMs: number;
  readonly #widestMs: number;
  #limitMs: number;
  /** When a message came late last, or a connection failed. */
  #lateMs = 0;

  constructor({ lowMs, highMs }: LivenessLimits) {
    this.#lowMs = lowMs;
    this.#usualMs = Math.max(USUAL_MS_MIN, lowMs);
    this.#widestMs = Math.max(WIDEST * this.#usualMs, highMs);
    this.#limitMs = this.#usualMs;
  }

  get limitMs(): number {
    return this.#limitMs;
  }

  /** How long a connection may be silent before it is given up: usually `lowMs`. */
  get patienceMs(): number {
    return (this.#lowMs * this.#limitMs) / this.#usualMs;
  }

  /**
   * For one connection, from its beginning on.
   *
   * @returns to be asked about each message: whether it is not to be read
   */
  watch(beginMs: number): (nowMs: number, isHello: boolean) => boolean {
    let heardMs = beginMs;
    let isOld = false;
    return (nowMs, isHello) => {
      // It says nothing of a QEMU. When it was sent is not known: what follows may be as old.
      if (isHello || isOld) return isOld;
      const silentMs = nowMs - heardMs;
      heardMs = nowMs;
      isOld = this.#isTooLong(silentMs, nowMs);
      return isOld;
    };
  }

  /** A connection was silent for as long, and is given up. */
  failed(nowMs: number): void {
    this.#lateMs = nowMs;
    this.#limitMs = Math.min(this.#widestMs, 2 * this.#limitMs);
  }

  #isTooLong(silentMs: number, nowMs: number): boolean {
    if (silentMs > this.#usualMs) this.#lateMs = nowMs;
    else if (nowMs - this.#lateMs > this.#widestMs) this.#limitMs = this.#usualMs;
    if (silentMs <= this.#limitMs) return false;
    this.failed(nowMs);
    return true;
  }
}
