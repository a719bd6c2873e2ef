import type { Duplex } from 'node:stream';
import { QmpConnectionError, QmpError, QmpProtocolError } from '../errors.js';
import { LineSplitter } from './lines.js';
import { decodeMessage, type Message } from './messages.js';
import { type Write, writerFor } from './writer.js';

/** `{`, with which all that QEMU sends begins. */
const BRACE = 0x7b;
const WHITESPACE: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0d, 0x20]);
/** Of what is no QMP, in messages. */
const SHOWN_BYTES = 40;

/** What comes out of a connection: messages, then exactly one end. */
export type Inbound =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'end'; readonly error: QmpError };

/**
 * Bytes of a stream to messages, in the tick in which they arrive and in their order. While there
 * is no receiver, messages are held, in order; the holder keeps that time short.
 */
export class QmpConnection {
  readonly #stream: Duplex;
  readonly #lines: LineSplitter;
  readonly #write: Write;
  #receiver: ((inbound: Inbound) => void) | undefined;
  #held: Inbound[] = [];
  #chunks: Uint8Array[] = [];
  #taking = false;
  /** The first byte was looked at. */
  #isJson = false;
  #ended = false;

  constructor(stream: Duplex, maxLineBytes: number) {
    this.#stream = stream;
    this.#lines = new LineSplitter(maxLineBytes);
    this.#write = writerFor(stream);
    stream.on('error', (cause) => this.#lost(`the connection failed: ${cause.message}`, cause));
    stream.on('end', () => this.#lost(`QEMU closed the connection${this.#midLine()}`));
    stream.on('close', () => this.#lost('the connection was closed'));
    // Last: a stream may start to flow at once.
    stream.on('data', (chunk: Uint8Array) => this.#take(chunk));
  }

  /** Hands what is held, then what comes, to `receiver`. */
  receiveWith(receiver: (inbound: Inbound) => void): void {
    this.#receiver = receiver;
    this.#drain();
  }

  /** Holds what comes, after `first`. */
  hold(first: readonly Inbound[]): void {
    this.#receiver = undefined;
    this.#held = [...first, ...this.#held];
  }

  write(text: string): void {
    this.#write(text);
  }

  /** Ends without a word: nothing is received any more. Resolves when the stream is closed. */
  destroy(): Promise<void> {
    this.#ended = true;
    this.#receiver = undefined;
    this.#held = [];
    return new Promise((resolve) => {
      if (this.#stream.closed) {
        resolve();
        return;
      }
      this.#stream.once('close', () => resolve());
      this.#stream.destroy();
    });
  }

  #take(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    // A receiver that writes may, on a stream in memory, get the answer before it returns: later
    // bytes must not overtake the rest of the chunk at hand.
    if (this.#taking) return;
    this.#taking = true;
    for (let next = this.#chunks.shift(); next !== undefined; next = this.#chunks.shift()) {
      this.#decode(next);
    }
    this.#taking = false;
  }

  #decode(chunk: Uint8Array): void {
    try {
      this.#expectJson(chunk);
      for (const line of this.#lines.push(chunk)) {
        // A receiver may have ended the connection half-way through a chunk.
        if (this.#ended) return;
        const message = decodeMessage(line);
        if (message !== undefined) this.#push({ kind: 'message', message });
      }
    } catch (error) {
      this.#end(asQmpError(error));
    }
  }

  /** Another protocol may never send a line feed: without this, its client waits for one. */
  #expectJson(chunk: Uint8Array): void {
    if (this.#isJson) return;
    const first = chunk.find((byte) => !WHITESPACE.has(byte));
    if (first === undefined) return;
    this.#isJson = true;
    if (first === BRACE) return;
    const text = Buffer.from(chunk.subarray(0, SHOWN_BYTES)).toString('latin1');
    const what = text.startsWith('NBDMAGIC') ? 'this is an NBD server: ' : '';
    const message = `${what}not JSON: ${JSON.stringify(text)}`;
    throw new QmpProtocolError('QMP_MALFORMED_JSON', message);
  }

  #midLine(): string {
    const { pendingBytes } = this.#lines;
    return pendingBytes === 0 ? '' : `, ${pendingBytes} bytes into a message`;
  }

  #lost(message: string, cause?: Error): void {
    this.#end(new QmpConnectionError('QMP_CONNECTION_LOST', message, cause && { cause }));
  }

  #end(error: QmpError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.destroy();
    this.#push({ kind: 'end', error });
  }

  #push(inbound: Inbound): void {
    this.#held.push(inbound);
    this.#drain();
  }

  #drain(): void {
    while (this.#receiver !== undefined) {
      const inbound = this.#held.shift();
      if (inbound === undefined) return;
      this.#receiver(inbound);
    }
  }
}

/**
 * Anything else would be a bug of ours: it ends the connection too, rather than leave it half-read.
 */
function asQmpError(error: unknown): QmpError {
  if (error instanceof QmpError) return error;
  return new QmpProtocolError('QMP_MALFORMED_MESSAGE', 'cannot read a message', { cause: error });
}
