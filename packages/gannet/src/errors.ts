/** Exit codes of the command (docs/commands.md). */
export const EXIT = { done: 0, failed: 1, usage: 2, degraded: 3, refused: 4, timeout: 5 } as const;
export type ExitName = keyof typeof EXIT;

/**
 * Something that an operator has to know: what is wrong and what to do. It crosses the control socket whole, so the
 * command can end with the code that the daemon chose.
 */
export class GannetError extends Error {
  override readonly name = 'GannetError';
  constructor(
    readonly code: GannetErrorCode,
    message: string,
    readonly remedy: string,
    readonly exit: ExitName = 'failed',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export type GannetErrorCode =
  | 'CONFIG'
  | 'CONTROL_UNREACHABLE'
  | 'CONTROL_PROTOCOL'
  | 'NOT_READY'
  | 'REFUSED'
  | 'BUSY'
  | 'STAGE_FAILED'
  | 'TIMEOUT'
  | 'INTERRUPTED'
  | 'USAGE'
  | 'INTERNAL';

/** An answer that QEMU owes is a time that ran out, as any other. */
function exitOf(code: unknown): ExitName {
  return code === 'deadline' ? 'timeout' : 'failed';
}

/** Any error as one that can be shown; codes and remedies of the packages' own errors are kept. */
export function describeError(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly exit: ExitName;
} {
  const { code, message, remedy, exit } = (error ?? {}) as Partial<GannetError>;
  return {
    code: typeof code === 'string' ? code : 'INTERNAL',
    message: typeof message === 'string' ? message : String(error),
    remedy: typeof remedy === 'string' ? remedy : '',
    exit: exit !== undefined && Object.hasOwn(EXIT, exit) ? exit : exitOf(code),
  };
}
