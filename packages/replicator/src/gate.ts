import type { Admission } from '@gannet/nbd';

/**
 * The gate of one VM: decides when bytes from its NBD sockets may be acted upon.
 *
 * QEMU does not wait for us at a checkpoint. It writes RESUME to the QMP socket before the first
 * disk request that follows leaves the process, so when such a request has been read, RESUME is
 * already waiting in the QMP socket. Both sockets live in this event loop. Hence the rule: a batch
 * is applied only after a full poll of the loop that began after the batch was read. If the batch
 * follows a RESUME, that poll delivers the RESUME first, and its handler closes the gate before the
 * batch is looked at.
 *
 *     phase:    poll          check          poll          check
 *               batch read    turn: fresh    QMP read      turn: aged → applied, or held
 *                             → aged         (RESUME →
 *                                            close())     if the gate is closed
 *
 * setImmediate callbacks run in the check phase, and between two check phases lies one whole poll.
 */
export class Gate implements Admission {
  #fresh: (() => void)[] = [];
  /** Applied in this turn, from #next on. */
  #ready: (() => void)[] = [];
  #next = 0;
  #aged: (() => void)[] = [];
  #held: (() => void)[] = [];
  #isClosed = false;
  #turnIsDue = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Batches that wait to be applied. */
  get waiting(): number {
    return (
      this.#fresh.length + this.#aged.length + this.#held.length + this.#ready.length - this.#next
    );
  }

  /** Has a batch wait for its turn. */
  admit(apply: () => void): void {
    this.#fresh.push(apply);
    this.#callTurn();
  }

  /** From now on nothing is applied. Synchronous: call it in the handler of RESUME. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Lets batches through again. They age again: a second RESUME may follow the answer that opened
   * the gate, in bytes that are not parsed yet.
   */
  open(): void {
    if (!this.#isClosed) return;
    this.#isClosed = false;
    // If a batch of this turn closed it, the rest of the turn has not aged since.
    const left = this.#ready.slice(this.#next);
    this.#next = this.#ready.length;
    this.#fresh = [...this.#held, ...left, ...this.#aged, ...this.#fresh];
    this.#held = [];
    this.#aged = [];
    if (this.#fresh.length > 0) this.#callTurn();
  }

  #callTurn(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnIsDue = false;
    this.#ready = this.#aged;
    this.#next = 0;
    this.#aged = this.#fresh;
    this.#fresh = [];
    if (this.#aged.length > 0) this.#callTurn();
    while (this.#next < this.#ready.length && !this.#isClosed) this.#ready[this.#next++]?.();
    this.#held = this.#held.concat(this.#ready.slice(this.#next));
    this.#ready = [];
    this.#next = 0;
  };
}
