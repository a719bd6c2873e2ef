import { A_BUG, REMEDIES } from './remedies.js';

/** Exit codes of the command; docs/reference/commands.md and --help list them. */
export const EXIT = { done: 0, failed: 1, usage: 2, degraded: 3, refused: 4, timeout: 5 } as const;
export type ExitName = keyof typeof EXIT;
export const EXIT_NAMES = Object.keys(EXIT) as readonly ExitName[];

/**
 * An error for an operator: what is wrong, and what to do about it. The control socket carries all
 * of its fields, so the command ends with the exit code that the daemon chose.
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
  /** The configuration is wrong, or a file, folder or address that it names cannot be used. */
  | 'GANNET_CONFIG'
  /** No daemon answers on the control socket. */
  | 'GANNET_CONTROL_UNREACHABLE'
  /** A message on the control socket was not understood: the versions may differ. */
  | 'GANNET_CONTROL_PROTOCOL'
  /** The daemon on the other host did not answer over the peer link. */
  | 'GANNET_PEER_UNREACHABLE'
  /** The daemon on the other host answered a request with an error. */
  | 'GANNET_PEER_FAILED'
  /** Something that this operation needs has not started yet. */
  | 'GANNET_NOT_READY'
  /** Refused, because it would or could destroy data. Nothing was changed. */
  | 'GANNET_REFUSED'
  /** Another operation is in progress; only one may run at a time. */
  | 'GANNET_BUSY'
  /** A stage of a longer operation failed. The stages before it were rolled back. */
  | 'GANNET_STAGE_FAILED'
  /** No answer came in time. */
  | 'GANNET_TIMEOUT'
  /** The operation was cancelled, by a request or because the daemon is stopping. */
  | 'GANNET_INTERRUPTED'
  /** The arguments of the command are wrong. */
  | 'GANNET_USAGE'
  /** A bug in Gannet. */
  | 'GANNET_INTERNAL';

const SYSTEM = /^E[A-Z0-9]+$/;

/**
 * Packages that are used without an operator have remedies for programmers: theirs come from our
 * table. Everything else brings its own.
 */
function remedyOf(code: unknown, own: unknown, isOurs: boolean): string {
  const hasOwn = typeof own === 'string' && own !== '';
  if (isOurs && hasOwn) return own;
  if (typeof code === 'string' && Object.hasOwn(REMEDIES, code)) {
    return REMEDIES[code as keyof typeof REMEDIES];
  }
  if (hasOwn) return own;
  const isSystems = typeof code === 'string' && SYSTEM.test(code);
  return isSystems ? 'Check the file or address in the message: the system refused it.' : A_BUG;
}

/** A missing QEMU reply counts as a timeout. */
function exitOf(code: unknown): ExitName {
  return code === 'DRIVER_DEADLINE' ? 'timeout' : 'failed';
}

/**
 * Turns anything that was thrown into fields to show. Errors of Gannet's packages keep their code
 * and remedy; anything else is `GANNET_INTERNAL`.
 */
export function describeError(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly exit: ExitName;
} {
  const { code, message, remedy, exit } = (error ?? {}) as Partial<GannetError>;
  return {
    code: typeof code === 'string' ? code : 'GANNET_INTERNAL',
    message: typeof message === 'string' ? message : String(error),
    remedy: remedyOf(code, remedy, error instanceof GannetError),
    exit: exit !== undefined && Object.hasOwn(EXIT, exit) ? exit : exitOf(code),
  };
}

/** How long a command waits for a sign of life of the daemon, in ms. */
export const SILENCE_MS = 10_000;
