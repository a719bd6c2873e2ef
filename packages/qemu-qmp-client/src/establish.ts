import { whenAborted } from './clock.js';
import { QmpConnection } from './wire/connection.js';
import { QmpAbortError, QmpTimeoutError } from './errors.js';
import { type HandshakeResult, shakeHands } from './wire/handshake.js';
import type { Settings } from './options.js';
import { describeTarget, dial } from './targets.js';

/** A connection that holds what came after negotiation, and what was negotiated. */
export interface Established extends HandshakeResult {
  readonly connection: QmpConnection;
}

/**
 * Dials and negotiates, within one deadline. On failure nothing is left open, a given stream
 * included.
 * @throws what dial() and shakeHands() throw
 * @throws QmpTimeoutError `QMP_CONNECT_TIMEOUT`
 * @throws QmpAbortError
 */
export async function establish(settings: Settings): Promise<Established> {
  const attempt = new AbortController();
  let doing = 'dialling';
  const giveUp = (error: Error): void => attempt.abort(error);
  const onTimeout = (): void => {
    const message = `${doing} took more than ${settings.connectTimeoutMs} ms`;
    giveUp(
      new QmpTimeoutError('QMP_CONNECT_TIMEOUT', `${describeTarget(settings.target)}: ${message}`),
    );
  };
  const onAbort = (): void => {
    giveUp(new QmpAbortError('connecting was aborted', { cause: settings.signal?.reason }));
  };
  const disarm =
    settings.connectTimeoutMs === 0
      ? undefined
      : settings.clock.after(settings.connectTimeoutMs, onTimeout);
  const forget = whenAborted(settings.signal, onAbort);
  if (settings.signal?.aborted === true) onAbort();
  try {
    const stream = await dial(settings.target, attempt.signal);
    // A monitor serves one client; a second one is connected by the kernel, and waits here.
    doing = 'negotiation (does another client hold this monitor?)';
    return await negotiate(
      new QmpConnection(stream, settings.maxLineBytes),
      settings,
      attempt.signal,
    );
  } finally {
    disarm?.();
    forget();
  }
}

async function negotiate(
  connection: QmpConnection,
  settings: Settings,
  signal: AbortSignal,
): Promise<Established> {
  const { oob, idPrefix, onWarning } = settings;
  try {
    const options = { oob, id: `${idPrefix}-0`, warn: onWarning };
    return { connection, ...(await shakeHands(connection, options, signal)) };
  } catch (error) {
    await connection.destroy();
    throw error;
  }
}
