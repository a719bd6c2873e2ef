/** A step that makes no sense where the checkpointer stands. `code` is stable; `message` is for people. */
export class CheckpointerError extends Error {
  override readonly name = 'CheckpointerError';
  constructor(
    readonly code: 'NOT_SEALED' | 'ALREADY_SEALED' | 'ENDED' | 'WRITE_BACK_STOPPED',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
