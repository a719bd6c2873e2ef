/**
 * Greeting and capabilities negotiation (qmp-spec, "Server Greeting", "Capabilities Negotiation").
 *
 *   state          gets                      does
 *   greeting       greeting                  sends qmp_capabilities → negotiating
 *   negotiating    return with our id        done
 *   negotiating    error with our id         fails, QMP_NEGOTIATION_REFUSED
 *   both           event                     keeps it, to be delivered first
 *   both           return/error, foreign id  drops it, warns
 *   greeting       anything else             fails, QMP_GREETING_MISSING or QMP_GREETING_INVALID
 *   negotiating    greeting                  fails, QMP_GREETING_REPEATED
 *   both           end                       fails, QMP_EARLY_CLOSE
 *
 * By the specification no event is delivered before negotiation is done. But QEMU does not take
 * back what it had queued for the client before us
 * (https://gitlab.com/qemu-project/qemu/-/issues/2176): its unread events, and the reply to a
 * command of its that was still running, can come first, even before the greeting. The events did
 * happen, so they are kept and come out in order; the replies carry ids that are not ours, and the
 * specification has clients drop those ("Commands Responses").
 */
import type { QmpConnection, Inbound } from './connection.js';
import { CAPABILITY_OOB, MAX_EARLY_MESSAGES, NEGOTIATION_COMMAND } from '../constants.js';
import {
  QmpCommandError,
  QmpConnectionError,
  QmpError,
  QmpOverflowError,
  QmpProtocolError,
} from '../errors.js';
import { encodeCommand, type Message, type QmpVersion } from './messages.js';

export interface HandshakeOptions {
  /** Enable out-of-band execution when it is offered. */
  readonly oob: boolean;
  /** Id of the negotiating command. */
  readonly id: string;
  /** What is odd, but not fatal. */
  readonly warn: (warning: QmpProtocolError) => void;
}

export interface HandshakeResult {
  readonly version: QmpVersion;
  readonly offered: readonly string[];
  readonly enabled: readonly string[];
}

/**
 * Negotiates, and leaves the connection holding: first the early events, then what followed the
 * reply.
 * @throws QmpProtocolError, QmpConnectionError (`QMP_EARLY_CLOSE`, `QMP_NEGOTIATION_REFUSED`),
 *   QmpOverflowError
 * @throws the reason of `signal`
 */
export function shakeHands(
  connection: QmpConnection,
  options: HandshakeOptions,
  signal: AbortSignal,
): Promise<HandshakeResult> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    const fail = (error: QmpError): void => {
      signal.removeEventListener('abort', onAbort);
      reject(error);
    };
    const handshake = new Handshake(connection, options, (result, early) => {
      signal.removeEventListener('abort', onAbort);
      connection.hold(early);
      resolve(result);
    });
    connection.receiveWith((inbound) => {
      try {
        handshake.receive(inbound);
      } catch (error) {
        if (!(error instanceof QmpError)) throw error;
        fail(error);
      }
    });
  });
}

type Done = (result: HandshakeResult, early: readonly Inbound[]) => void;
type Greeting = Extract<Message, { kind: 'greeting' }>;

class Handshake {
  readonly #connection: QmpConnection;
  readonly #options: HandshakeOptions;
  readonly #done: Done;
  readonly #early: Inbound[] = [];
  #greeting: Greeting | undefined;
  #enabled: readonly string[] = [];
  #messages = 0;

  constructor(connection: QmpConnection, options: HandshakeOptions, done: Done) {
    this.#connection = connection;
    this.#options = options;
    this.#done = done;
  }

  receive(inbound: Inbound): void {
    if (inbound.kind === 'end') throw this.#ended(inbound.error);
    this.#messages += 1;
    if (this.#messages > MAX_EARLY_MESSAGES) {
      const message = `more than ${MAX_EARLY_MESSAGES} messages before negotiation was done`;
      throw new QmpOverflowError('QMP_EARLY_OVERFLOW', message);
    }
    this.#accept(inbound.message);
  }

  #accept(message: Message): void {
    switch (message.kind) {
      case 'event':
        this.#early.push({ kind: 'message', message });
        return;
      case 'greeting':
        this.#greet(message);
        return;
      case 'return':
      case 'error':
        if (this.#greeting === undefined || message.id !== this.#options.id) {
          this.#options.warn(unknownId(message.id));
          return;
        }
        this.#answer(message, this.#greeting);
    }
  }

  #greet(greeting: Greeting): void {
    if (this.#greeting !== undefined) throw repeatedGreeting();
    this.#greeting = greeting;
    const wanted = this.#options.oob && greeting.capabilities.includes(CAPABILITY_OOB);
    this.#enabled = wanted ? [CAPABILITY_OOB] : [];
    const args = wanted ? { enable: this.#enabled } : undefined;
    this.#connection.write(encodeCommand(NEGOTIATION_COMMAND, args, this.#options.id, false));
  }

  #answer(message: Extract<Message, { kind: 'return' | 'error' }>, greeting: Greeting): void {
    if (message.kind === 'error') {
      const cause = new QmpCommandError(NEGOTIATION_COMMAND, message.errorClass, message.desc);
      const text = `QEMU refused to negotiate: ${message.desc}`;
      throw new QmpConnectionError('QMP_NEGOTIATION_REFUSED', text, { cause });
    }
    const { version, capabilities: offered } = greeting;
    this.#done({ version, offered, enabled: this.#enabled }, this.#early);
  }

  #ended(error: QmpError): QmpError {
    if (error instanceof QmpConnectionError) {
      const message = `hung up before negotiation was done: ${error.message}`;
      return new QmpConnectionError('QMP_EARLY_CLOSE', message, { cause: error });
    }
    const isNoQmp = error.code === 'QMP_MALFORMED_JSON' || error.code === 'QMP_MALFORMED_MESSAGE';
    if (this.#greeting === undefined && isNoQmp) {
      const message = `no QMP greeting: ${error.message}`;
      return new QmpProtocolError('QMP_GREETING_MISSING', message, { cause: error });
    }
    return error;
  }
}

/** A reply to no command of ours, as a warning. */
export function unknownId(id: unknown): QmpProtocolError {
  const what = id === undefined ? 'without id' : `with the unknown id ${JSON.stringify(id)}`;
  return new QmpProtocolError('QMP_UNKNOWN_ID', `dropped a reply ${what}`);
}

/** QEMU greets once. */
export function repeatedGreeting(): QmpProtocolError {
  return new QmpProtocolError('QMP_GREETING_REPEATED', 'a second greeting on one connection');
}
