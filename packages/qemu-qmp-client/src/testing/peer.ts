import type { Duplex } from 'node:stream';

/**
 * A command as it was received: `oob` for exec-oob; `id` as it was sent, undefined if there was
 * none.
 */
export interface FakeRequest {
  readonly command: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly id: unknown;
  readonly oob: boolean;
}

/** An answer: to send `return`, to send `error`, or to keep silent (whoever waits, hangs). */
export type FakeReply =
  | { readonly return: unknown }
  | { readonly error: { readonly class: string; readonly desc: string } }
  | 'silence';

/**
 * The server's end of one connection. Writes its messages itself, and shares no code with the
 * client: what one of them gets wrong, the other does not get wrong too.
 */
export class FakePeer {
  readonly #stream: Duplex;
  readonly #onRequest: (request: FakeRequest, peer: FakePeer) => void;
  readonly #closed: Promise<void>;
  #unread = '';
  #chunkBytes = Number.POSITIVE_INFINITY;

  constructor(stream: Duplex, onRequest: (request: FakeRequest, peer: FakePeer) => void) {
    this.#stream = stream;
    this.#onRequest = onRequest;
    this.#closed = new Promise((resolve) => stream.once('close', () => resolve()));
    stream.setEncoding('utf8');
    stream.on('error', () => undefined);
    stream.on('data', (text: string) => this.#take(text));
    stream.on('end', () => stream.end());
  }

  /** Resolves when the connection is over. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** Sends everything from now on in chunks of that many bytes, one a turn; Infinity for whole. */
  set chunkBytes(value: number) {
    this.#chunkBytes = value;
  }

  /** Sends one message, with its CRLF. */
  send(message: object): void {
    this.sendRaw(`${JSON.stringify(message)}\r\n`);
  }

  /** Sends an event with the current time. */
  emit(event: string, data?: object): void {
    const nowMs = Date.now();
    const timestamp = {
      seconds: Math.floor(nowMs / 1000),
      microseconds: (nowMs % 1000) * 1000,
    };
    this.send({ timestamp, event, ...(data && { data }) });
  }

  /** Answers a command, with its id. */
  answer(request: FakeRequest, reply: FakeReply): void {
    if (reply === 'silence') return;
    this.send(request.id === undefined ? reply : { ...reply, id: request.id });
  }

  /** Sends these bytes as they are, but for chunkBytes. */
  sendRaw(bytes: string | Uint8Array): void {
    const all = typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes);
    if (!this.#stream.writable) return;
    for (let start = 0; start < all.length;) {
      const stop = Math.min(all.length, start + this.#chunkBytes);
      this.#stream.write(all.subarray(start, stop));
      start = stop;
    }
  }

  /** Ends sending, and goes on reading. */
  halfClose(): void {
    this.#stream.end();
  }

  /** Hangs up at once. */
  async drop(): Promise<void> {
    this.#stream.destroy();
    await this.#closed;
  }

  #take(text: string): void {
    const lines = (this.#unread + text).split('\n');
    this.#unread = lines.pop() ?? '';
    for (const line of lines) this.#request(line);
  }

  #request(line: string): void {
    const json = JSON.parse(line) as Record<string, unknown>;
    const oob = 'exec-oob' in json;
    this.#onRequest(
      {
        command: String(oob ? json['exec-oob'] : json['execute']),
        arguments: (json['arguments'] ?? {}) as Record<string, unknown>,
        id: json['id'],
        oob,
      },
      this,
    );
  }
}
