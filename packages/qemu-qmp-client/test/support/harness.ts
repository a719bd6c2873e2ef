import type { Duplex } from 'node:stream';
import { type QmpClock, type ConnectOptions, QmpClient, QmpError } from '../../src/index.js';
import { streamPair } from '../../src/testing/index.js';
import { GREETING, ok } from './wire.js';

/** A clock that a test moves. */
export class ManualClock implements QmpClock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.#nowMs);
    for (const timer of due.sort((a, b) => a.atMs - b.atMs)) {
      if (this.#timers.delete(timer)) timer.run();
    }
  }
}

export type RawOptions = Omit<ConnectOptions, 'target'>;

/** The far end of a client's stream, spoken to in bytes. Ids are `c-0` (negotiation), `c-1`, … */
export class RawServer {
  readonly stream: Duplex;
  readonly near: Duplex;
  text = '';

  constructor() {
    [this.stream, this.near] = streamPair();
    this.stream.on('error', () => undefined);
    this.stream.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
  }

  send(bytes: string | Uint8Array): void {
    this.stream.write(bytes);
  }

  connect(options: RawOptions = {}): Promise<QmpClient> {
    return QmpClient.connect({
      target: { kind: 'stream', stream: this.near },
      idPrefix: 'c',
      ...options,
    });
  }

  /** What the client has sent, by line. */
  get lines(): unknown[] {
    const lines = this.text.split('\n').filter((line) => line !== '');
    return lines.map((line): unknown => JSON.parse(line));
  }
}

/** A negotiated client, and the raw bytes' end. */
export async function open(
  options: RawOptions = {},
  greeting = GREETING,
): Promise<{ client: QmpClient; server: RawServer }> {
  const server = new RawServer();
  server.send(greeting + ok('c-0'));
  // The reply is there before the question: the client looks at it only after the greeting.
  const client = await server.connect(options);
  await turns();
  return { client, server };
}

/** Lets everything that is under way in memory arrive. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** The QmpError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<QmpError> {
  const outcome: unknown = await promise.then(
    () => new Error('it did not reject'),
    (error: unknown) => error,
  );
  if (outcome instanceof QmpError) return outcome;
  throw outcome;
}
