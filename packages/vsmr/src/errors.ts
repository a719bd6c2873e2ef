/** The codes of `VsmrError`. */
export type VsmrErrorCode =
  /** A call that is not allowed in this phase of the engine. */
  | 'VSMR_PHASE'
  /** The connection between the two sides ended, or was cut. */
  | 'VSMR_LINK_LOST'
  /** The other side sent something that it must not send. */
  | 'VSMR_PROTOCOL'
  /** A checkpoint was given up. Both sides are as before; the next one may succeed. */
  | 'VSMR_ABORTED'
  /** The secondary has no state of the VM that it could continue from. */
  | 'VSMR_UNFIT'
  /** A file of RAM cannot be read, written or watched. */
  | 'VSMR_RAM';

/**
 * What this package throws or rejects with. `code` is stable, `message` is for people, `remedy`
 * says what can be done.
 */
export class VsmrError extends Error {
  override readonly name = 'VsmrError';
  constructor(
    readonly code: VsmrErrorCode,
    message: string,
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What an error says, for a sentence of ours. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const SAME_RELEASE = 'See that both sides run the same release, and that nobody else connects.';

/** The other side does not keep to the protocol. */
export function protocolError(message: string): VsmrError {
  return new VsmrError('VSMR_PROTOCOL', message, SAME_RELEASE);
}
