import type { NbdCommandError } from '../errors.js';
import type { RequestHeader } from '../wire/transmission-messages.js';

/**
 * A request that its session answers with promises. It finishes when it is sealed and all of its
 * parts have settled.
 */
export class PendingRequest {
  readonly type: number;
  readonly flags: number;
  readonly cookie: Buffer;
  /** The first failure of a part. */
  failure: NbdCommandError | undefined;
  #awaited = 0;
  #isSealed = false;
  readonly #classify: (error: unknown) => NbdCommandError;
  readonly #finish: (pending: PendingRequest) => void;

  constructor(
    request: Readonly<RequestHeader>,
    classify: (error: unknown) => NbdCommandError,
    finish: (pending: PendingRequest) => void,
  ) {
    this.type = request.type;
    this.flags = request.flags;
    this.cookie = Buffer.from(request.cookie);
    this.#classify = classify;
    this.#finish = finish;
  }

  /** Adds a part to wait for. */
  add(part: Promise<void>): void {
    this.#awaited += 1;
    part.then(this.#settled, (error: unknown) => {
      this.failure ??= this.#classify(error);
      this.#settled();
    });
  }

  /** Called when all parts have been added. */
  seal(): void {
    this.#isSealed = true;
    this.#finishIfDone();
  }

  /** Adds the only part. */
  only(part: Promise<void>): void {
    this.add(part);
    this.seal();
  }

  readonly #settled = (): void => {
    this.#awaited -= 1;
    this.#finishIfDone();
  };

  #finishIfDone(): void {
    if (this.#isSealed && this.#awaited === 0) this.#finish(this);
  }
}
