import { A_BUG, REMEDIES } from './remedies.js';

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
  /** The configuration, or a place that it names, can't be used as it is. */
  | 'CONFIG'
  /** The daemon that was to be asked is not there. */
  | 'CONTROL_UNREACHABLE'
  /** What came over the control socket is none of its messages. */
  | 'CONTROL_PROTOCOL'
  /** What is needed for this is not there yet. */
  | 'NOT_READY'
  /** It would, or could, destroy something; nothing was done. */
  | 'REFUSED'
  /** It can be done by one at a time, and somebody is at it. */
  | 'BUSY'
  /** A step of a longer operation failed; what had been begun was taken back. */
  | 'STAGE_FAILED'
  /** Somebody who owed an answer did not give it in time. */
  | 'TIMEOUT'
  /** It was given up because somebody asked for that, or the daemon ends. */
  | 'INTERRUPTED'
  /** The command was called in a way that it does not know. */
  | 'USAGE'
  /** A mistake in Gannet itself. */
  | 'INTERNAL';

const SYSTEM = /^E[A-Z0-9]+$/;

function remedyOf(code: unknown): string {
  if (typeof code === 'string' && Object.hasOwn(REMEDIES, code)) {
    return REMEDIES[code as keyof typeof REMEDIES];
  }
  const isSystems = typeof code === 'string' && SYSTEM.test(code);
  return isSystems ? 'The system refused it: see to the file or address that it names.' : A_BUG;
}

/** An answer that QEMU owes is a time that ran out, as any other. */
function exitOf(code: unknown): ExitName {
  return code === 'DRIVER_DEADLINE' ? 'timeout' : 'failed';
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
    remedy: typeof remedy === 'string' && remedy !== '' ? remedy : remedyOf(code),
    exit: exit !== undefined && Object.hasOwn(EXIT, exit) ? exit : exitOf(code),
  };
}
