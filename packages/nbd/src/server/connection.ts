/**
 * One connection to the server. Received bytes are queued in batches, one per chunk that the socket
 * delivers. The admission decides when each batch is applied; the end of the connection is queued
 * behind them.
 *
 * A batch must wait while an export is being opened or a limit is reached. Calls of `apply` are
 * then only counted (`#deferred`). When the cause is gone, the admission is asked again for that
 * many: it may have closed in the meantime, and no batch overtakes another.
 */

import type { Duplex } from 'node:stream';
import { type ByteSource, StreamSource } from './byte-source.js';
import type { ConnectionContext, ConnectionInfo, ConnectionState } from './connection-info.js';
import { NbdConnectionError, NbdProtocolError, NbdRefusal } from '../errors.js';
import type { ExportSession, NbdExport, PeerInfo, SessionEnd } from '../export.js';
import { encodeGreeting } from '../wire/handshake-messages.js';
import { Negotiation, offeredBlockSize } from './negotiation.js';
import { ReplyWriter } from '../wire/replies.js';
import { upgradeToTls } from './server-tls.js';
import { endAndDrain, writePieces } from './stream-output.js';
import { Transmission } from './transmission.js';

/** One client's connection, from the greeting to its end. See the top of the file. */
export class ServerConnection {
  #peer: PeerInfo;
  #source: ByteSource;
  #stream: Duplex;
  readonly #context: ConnectionContext;
  readonly #negotiation: Negotiation;
  readonly #replies: ReplyWriter;
  readonly #handshakeTimer: NodeJS.Timeout;

  #state: ConnectionState = 'negotiating';
  #exportName: string | undefined;
  #session: ExportSession | undefined;
  #transmission: Transmission | undefined;

  readonly #queue: Buffer[] = [];
  /** The first batch is not the source's, but what followed the handshake. */
  #isRestQueued = false;
  /** How far the first batch has been applied. */
  #at = 0;
  #queuedBytes = 0;
  #receivedBytes = 0;
  #deferred = 0;
  /** Set when the end has been queued. */
  #end: SessionEnd | undefined;
  #isStreamClosed = false;
  #isGone = false;
  #isFlushScheduled = false;

  constructor(source: ByteSource, peer: PeerInfo, context: ConnectionContext) {
    this.#peer = peer;
    this.#source = source;
    this.#stream = source.stream;
    this.#context = context;
    this.#negotiation = new Negotiation(context.exports, context.limits, {
      needsTls: context.tls !== undefined,
      extendedHeaders: context.extendedHeaders,
    });
    this.#replies = new ReplyWriter((pieces, taken) => writePieces(this.#stream, pieces, taken));
    this.#handshakeTimer = setTimeout(() => {
      this.drop(new NbdConnectionError('the handshake took too long'));
    }, context.limits.handshakeMs);
    this.#handshakeTimer.unref();
    this.#listen();
    context.onEvent({ kind: 'connected', peer });
    this.#stream.write(encodeGreeting());
  }

  /** The client, as far as it is known. */
  get peer(): PeerInfo {
    return this.#peer;
  }

  /** Connections of one origin are counted together. */
  get origin(): string {
    return this.#context.origin;
  }

  /** Which limit it counts for. `in-use` begins when an export is being opened. */
  get phase(): 'handshake' | 'in-use' | 'ending' {
    if (this.#state === 'closed' || this.#end !== undefined) return 'ending';
    return this.#state === 'negotiating' || this.#state === 'securing' ? 'handshake' : 'in-use';
  }

  /** A snapshot, for status pages. */
  get info(): ConnectionInfo {
    return {
      peer: this.#peer,
      state: this.#state,
      exportName: this.#exportName,
      requests: this.#transmission?.requests ?? 0,
      requestsInFlight: this.#transmission?.requestsInFlight ?? 0,
      receivedBytes: this.#receivedBytes,
      queuedBytes: this.#queuedBytes,
    };
  }

  /** Ends the connection from our side: reads no more, but still answers requests in flight. */
  shutdown(): void {
    this.#stream.pause();
    this.#queueEnd(new NbdConnectionError('the server is closing'));
    if (this.#session === undefined) this.#stream.destroy();
  }

  /** Closes the stream at once. */
  destroy(): void {
    this.#stream.destroy();
  }

  #listen(): void {
    const stream = this.#stream;
    this.#source.listen((batch) => this.#receive(batch));
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('drain', this.#onDrain);
    stream.on('close', this.#onClose);
  }

  readonly #onEnd = (): void => this.#queueEnd(undefined);
  readonly #onError = (error: Error): void => this.#queueEnd(error);
  readonly #onDrain = (): void => this.#resumeApplying();
  readonly #onClose = (): void => {
    this.#isStreamClosed = true;
    this.#queueEnd(undefined);
    this.#resumeApplying();
    this.#leaveIfDone();
  };

  // Receiving

  #receive(batch: Buffer): void {
    if (this.#state === 'closed') this.#source.release();
    if (this.#end !== undefined || this.#state === 'closed') return;
    if (this.#transmission !== undefined) this.#context.busyPoll.received();
    this.#queue.push(batch);
    this.#queuedBytes += batch.length;
    this.#receivedBytes += batch.length;
    if (this.#queueIsFull()) this.#stream.pause();
    this.#context.admission.admit(this.#apply);
  }

  #queueIsFull(): boolean {
    const { queuedBytes, queuedBatches } = this.#context.limits;
    return this.#queuedBytes > queuedBytes || this.#queue.length >= queuedBatches;
  }

  #queueEnd(error: Error | undefined): void {
    if (this.#end !== undefined || this.#state === 'closed') return;
    this.#end = { kind: 'lost', error, midRequest: false };
    this.#context.admission.admit(this.#apply);
  }

  // Applying

  /** Applies the next batch, or the end. Bound once: it is passed on for each batch. */
  readonly #apply = (): void => {
    if (this.#state === 'closed') return;
    const batch = this.#queue[0];
    // The end must not wait for a limit: the session's close() may be what frees it.
    if (batch === undefined && this.#end !== undefined && this.#state !== 'opening') {
      this.#finish(this.#end);
      return;
    }
    if (this.#isHeldUp()) {
      this.#deferred += 1;
      return;
    }
    if (batch === undefined) return;
    this.#applyBatch(batch);
    this.#replies.flush();
    if (this.#transmission !== undefined) this.#context.busyPoll.answered();
  };

  #isHeldUp(): boolean {
    if (this.#state === 'opening' || this.#state === 'securing') return true;
    // A payload must be completed, or the request that fills the limit might never end.
    const transmission = this.#transmission;
    return transmission !== undefined && !transmission.midRequest && transmission.isFull;
  }

  #applyBatch(batch: Buffer): void {
    if (this.#state === 'negotiating') {
      // Copied: the negotiation keeps what it has not parsed.
      this.#negotiation.push(Buffer.from(batch));
      this.#shiftBatch(batch);
      this.#negotiate();
      return;
    }
    const transmission = this.#transmission;
    if (transmission === undefined) return;
    this.#at = transmission.process(batch, this.#at);
    const { ended } = transmission;
    if (ended !== undefined) {
      if (ended.kind === 'disconnect') this.#finish(ended);
      else this.#finish({ kind: 'lost', error: ended.error, midRequest: true });
    } else if (this.#at < batch.length) {
      this.#deferred += 1;
      this.#replies.flush();
      // A stream that took everything at once never emits 'drain'.
      this.#resumeApplying();
    } else {
      this.#at = 0;
      this.#shiftBatch(batch);
    }
  }

  #shiftBatch(batch: Buffer): void {
    this.#queue.shift();
    this.#queuedBytes -= batch.length;
    this.#release(1);
    if (this.#stream.isPaused() && this.#end === undefined && !this.#queueIsFull()) {
      this.#stream.resume();
    }
  }

  #release(batches: number): void {
    const received = this.#isRestQueued ? batches - 1 : batches;
    if (batches > 0) this.#isRestQueued = false;
    for (let i = 0; i < received; i++) this.#source.release();
  }

  #resumeApplying(): void {
    if (this.#deferred === 0 || this.#isHeldUp()) return;
    const calls = this.#deferred;
    this.#deferred = 0;
    for (let i = 0; i < calls; i++) this.#context.admission.admit(this.#apply);
  }

  // Handshake

  #negotiate(): void {
    while (this.#state === 'negotiating') {
      const step = this.#negotiation.next();
      if (step === undefined) return;
      switch (step.kind) {
        case 'reply':
          this.#replies.push(step.bytes);
          break;
        case 'open':
          this.#open(step.target);
          break;
        case 'starttls':
          this.#replies.push(step.bytes);
          this.#upgradeToTls();
          break;
        case 'abort':
          this.#replies.push(step.bytes);
          this.#finish({ kind: 'disconnect' });
          break;
        case 'hangup':
          this.#hangUp(step.error);
          break;
      }
    }
  }

  #hangUp(error: NbdProtocolError | NbdRefusal): void {
    if (error instanceof NbdRefusal) {
      this.#context.onEvent({ kind: 'refused', peer: this.#peer, error });
    }
    this.#finish({ kind: 'lost', error, midRequest: true });
  }

  /**
   * TLS takes the stream over after our ACK. A correct client sends nothing between STARTTLS and
   * the ACK. Any such bytes were injected, or the client is broken.
   */
  #upgradeToTls(): void {
    const { tls } = this.#context;
    if (tls === undefined || this.#queue.length > 0) {
      this.#hangUp(new NbdProtocolError('unencrypted bytes follow NBD_OPT_STARTTLS'));
      return;
    }
    this.#state = 'securing';
    this.#replies.flush();
    const raw = this.#stream;
    this.#source.detach();
    raw.off('end', this.#onEnd);
    raw.off('drain', this.#onDrain);
    upgradeToTls(raw, tls, (result) => {
      if (this.#state !== 'securing') return;
      if (result instanceof NbdConnectionError) {
        this.#state = 'negotiating';
        this.drop(result);
        return;
      }
      raw.off('error', this.#onError);
      raw.on('error', () => undefined);
      raw.off('close', this.#onClose);
      this.#peer = { ...this.#peer, identity: result.identity };
      this.#source = new StreamSource(result.stream);
      this.#stream = result.stream;
      this.#state = 'negotiating';
      this.#negotiation.secured();
      this.#context.onEvent({ kind: 'secured', peer: this.#peer });
      this.#listen();
    });
  }

  #open(target: NbdExport): void {
    if (!this.#context.mayOpen()) {
      this.#refuse(new NbdRefusal('policy', 'too many connections'));
      return;
    }
    this.#state = 'opening';
    let opened: ExportSession | Promise<ExportSession>;
    try {
      opened = target.open(this.#peer);
    } catch (error) {
      this.#refuse(error);
      return;
    }
    if (!('then' in opened)) {
      this.#begin(target, opened);
      return;
    }
    opened
      .then(
        (session) => this.#begin(target, session),
        (error: unknown) => this.#refuse(error),
      )
      .finally(() => {
        this.#replies.flush();
        this.#resumeApplying();
      });
  }

  #begin(target: NbdExport, session: ExportSession): void {
    clearTimeout(this.#handshakeTimer);
    this.#replies.push(this.#negotiation.opened());
    this.#session = session;
    this.#exportName = target.name;
    const { limits, onEvent } = this.#context;
    const { headers, baseAllocation } = this.#negotiation;
    const { minimum, maximum } = offeredBlockSize(target, limits);
    const { sizeBytes, features } = target;
    const rules = {
      ...{ sizeBytes, features, headers, baseAllocation },
      ...{ minimumBlock: minimum, payloadMax: maximum },
    };
    this.#transmission = new Transmission(session, rules, limits, this.#replies, {
      mayReply: () => this.#unreadReplyBytes() < this.#replyLimit(),
      settled: () => this.#scheduleFlush(),
      failed: (command, error) => onEvent({ kind: 'failed', peer: this.#peer, command, error }),
    });
    this.#state = 'transmission';
    onEvent({ kind: 'opened', peer: this.#peer, exportName: target.name });
    const rest = this.#negotiation.takeRest();
    if (rest.length > 0) this.#requeue(rest);
  }

  /** What followed the handshake in its batch becomes a batch of its own, first in the queue. */
  #requeue(rest: Buffer): void {
    this.#queue.unshift(rest);
    this.#isRestQueued = true;
    this.#queuedBytes += rest.length;
    this.#context.admission.admit(this.#apply);
  }

  #refuse(error: unknown): void {
    const refusal =
      error instanceof NbdRefusal
        ? error
        : new NbdRefusal('policy', 'the export cannot be opened', { cause: error });
    if (!(error instanceof NbdRefusal)) {
      this.#context.onEvent({ kind: 'failed', peer: this.#peer, command: undefined, error });
    }
    this.#context.onEvent({ kind: 'refused', peer: this.#peer, error: refusal });
    this.#state = 'negotiating';
    const step = this.#negotiation.refused(refusal);
    if (step.kind === 'reply') this.#replies.push(step.bytes);
    else this.#finish({ kind: 'lost', error: refusal, midRequest: false });
    this.#negotiate();
  }

  // Replying

  #replyLimit(): number {
    return Math.max(this.#context.limits.unreadReplyBytes, this.#stream.writableHighWaterMark);
  }

  #unreadReplyBytes(): number {
    return this.#isStreamClosed ? 0 : this.#stream.writableLength + this.#replies.pendingBytes;
  }

  /** Replies of one turn of the event loop are sent with one write. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    process.nextTick(() => {
      this.#isFlushScheduled = false;
      this.#replies.flush();
      this.#resumeApplying();
      this.#closeIfDrained();
    });
  }

  // Ending

  /** Applies nothing more. Requests in flight are answered, then the stream is closed. */
  #finish(end: SessionEnd): void {
    if (this.#state === 'closed') return;
    clearTimeout(this.#handshakeTimer);
    const midRequest = this.#transmission?.midRequest ?? false;
    const reported =
      end.kind === 'lost' ? { ...end, midRequest: end.midRequest || midRequest } : end;
    this.#state = 'closed';
    this.#release(this.#queue.length);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#transmission?.abandon();
    this.#closeSession(reported);
    this.#context.onEvent({ kind: 'ended', peer: this.#peer, end: reported });
    this.#replies.flush();
    this.#closeIfDrained();
    this.#leaveIfDone();
  }

  #closeSession(end: SessionEnd): void {
    try {
      this.#session?.close(end);
    } catch (error) {
      this.#context.onEvent({ kind: 'failed', peer: this.#peer, command: undefined, error });
    }
  }

  #closeIfDrained(): void {
    if (this.#state !== 'closed' || this.#isStreamClosed) return;
    if (this.#stream.writableEnded || this.#stream.destroyed) return;
    if ((this.#transmission?.requestsInFlight ?? 0) > 0) return;
    endAndDrain(this.#stream, this.#context.limits.closeMs);
  }

  /** Breaks the connection. Without a session there is no order to keep: it ends at once. */
  drop(error: Error): void {
    this.#queueEnd(error);
    this.#stream.destroy();
    if (this.#session !== undefined || this.#state === 'opening') return;
    this.#finish(this.#end ?? { kind: 'lost', error, midRequest: false });
  }

  #leaveIfDone(): void {
    if (!this.#isStreamClosed || this.#state !== 'closed' || this.#isGone) return;
    this.#isGone = true;
    this.#context.onGone();
  }
}
