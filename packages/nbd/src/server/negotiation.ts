/**
 * The server's side of the handshake, without I/O: push() adds bytes, next() returns what to do.
 *
 *   client-flags ──► options ──► opening ──► transmission
 *                    │  ▲ │ ▲       │
 *                    ▼  │ │ │       ▼ refused, NBD_OPT_GO
 *                 skipping│ │    options
 *                         ▼ │
 *                       securing
 *
 * and `ended` from any of them. In `opening` it waits for its owner, who opens the export and calls
 * opened() or refused(). In `securing` it waits for the TLS handshake and secured().
 *
 * If TLS is required, only STARTTLS and ABORT are answered before ("FORCEDTLS mode"), and nothing
 * that was negotiated before counts afterwards. Bytes that follow the STARTTLS end the connection:
 * they may have been injected.
 */

import * as nbd from '../constants.js';
import { NbdProtocolError, NbdRefusal } from '../errors.js';
import type { RefusalReason } from '../errors.js';
import type { BlockSize, NbdExport } from '../export.js';
import * as wire from '../wire/handshake-messages.js';
import type { NbdLimits } from '../limits.js';
import { META_CONTEXTS } from '../wire/transmission-messages.js';
import type { HeaderStyle } from '../wire/transmission-messages.js';

/** The states; see the top of the file. */
export type NegotiationState =
  'client-flags' | 'options' | 'skipping' | 'securing' | 'opening' | 'transmission' | 'ended';

/** What the owner of the connection must do next. */
export type NegotiationStep =
  | { readonly kind: 'reply'; readonly bytes: Buffer }
  /** Open a session, then call opened() or refused(). */
  | { readonly kind: 'open'; readonly target: NbdExport }
  /** Send the bytes, do the TLS handshake, then call secured(). */
  | { readonly kind: 'starttls'; readonly bytes: Buffer }
  /** The client aborts: send the bytes and close. */
  | { readonly kind: 'abort'; readonly bytes: Buffer }
  /** Close at once: the client broke the protocol, or there is no reply for this error. */
  | { readonly kind: 'hangup'; readonly error: NbdProtocolError | NbdRefusal };

type NegotiationLimits = Pick<
  NbdLimits,
  'options' | 'optionBytes' | 'payloadBytes' | 'handshakeBytes'
>;

/** What a listener requires and offers. */
interface NegotiationOffer {
  /** Whether TLS is required before anything about exports is answered. */
  readonly needsTls: boolean;
  readonly extendedHeaders: boolean;
}

interface PendingOpen {
  readonly option: number;
  readonly target: NbdExport;
  readonly wanted: ReadonlySet<number>;
}

/** The server's side of one handshake. See the top of the file. */
export class Negotiation {
  #state: NegotiationState = 'client-flags';
  #bytes: Buffer = Buffer.alloc(0);
  #noZeroes = false;
  #headers: HeaderStyle = 'simple';
  /** The export for which base:allocation was last selected. */
  #contextExport: string | undefined;
  #baseAllocation = false;
  #options = 0;
  #receivedBytes = 0;
  #skip = { option: 0, left: 0 };
  #pending: PendingOpen | undefined;
  readonly #exports: () => readonly NbdExport[];
  readonly #limits: NegotiationLimits;

  readonly #offersExtended: boolean;
  #tls: 'none' | 'required' | 'done';

  constructor(
    exports: () => readonly NbdExport[],
    limits: NegotiationLimits,
    { needsTls, extendedHeaders }: NegotiationOffer,
  ) {
    this.#exports = exports;
    this.#limits = limits;
    this.#tls = needsTls ? 'required' : 'none';
    this.#offersExtended = extendedHeaders;
  }

  /** The current state. */
  get state(): NegotiationState {
    return this.#state;
  }

  /** The headers that were negotiated for the transmission phase. */
  get headers(): HeaderStyle {
    return this.#headers;
  }

  /** Whether base:allocation was selected for the export that was opened. */
  get baseAllocation(): boolean {
    return this.#baseAllocation;
  }

  /** Adds received bytes. */
  push(bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** What to do next, or undefined if more bytes or a call of the owner are needed. */
  next(): NegotiationStep | undefined {
    switch (this.#state) {
      case 'client-flags':
        return this.#takeClientFlags();
      case 'options':
        return this.#takeOption();
      case 'skipping':
        return this.#skipData();
      case 'securing':
      case 'opening':
      case 'transmission':
      case 'ended':
        return undefined;
    }
  }

  /** TLS has been established. What was negotiated before does not count. */
  secured(): void {
    this.#tls = 'done';
    this.#headers = 'simple';
    this.#contextExport = undefined;
    this.#setState('options');
  }

  /** What was received after the handshake. Call it once, in state `transmission`. */
  takeRest(): Buffer {
    return this.#take(this.#bytes.length);
  }

  /** The export is open, and the transmission phase begins. @returns what to send */
  opened(): Buffer {
    const { option, target, wanted } = this.#takePending();
    this.#baseAllocation = this.#contextExport === target.name;
    this.#setState('transmission');
    if (option === nbd.NBD_OPT_EXPORT_NAME) {
      const flags = wire.transmissionFlags(target.features, this.#headers !== 'simple');
      return wire.encodeExportNameReply(target.sizeBytes, flags, !this.#noZeroes);
    }
    return Buffer.concat([this.#describe(option, target, wanted), ack(option)]);
  }

  /** The export was refused to the client. */
  refused(refusal: NbdRefusal): NegotiationStep {
    const { option } = this.#takePending();
    if (option === nbd.NBD_OPT_EXPORT_NAME) return this.#hangup(refusal);
    this.#setState('options');
    return reply(wire.encodeOptionError(option, refusal.reason, refusal.message));
  }

  #setState(next: NegotiationState): void {
    if (this.#state === 'transmission' || this.#state === 'ended') {
      throw new Error(`negotiation cannot go from ${this.#state} to ${next}`);
    }
    this.#state = next;
  }

  #hangup(error: NbdProtocolError | NbdRefusal): NegotiationStep {
    this.#setState('ended');
    return { kind: 'hangup', error };
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  #takePending(): PendingOpen {
    const pending = this.#pending;
    if (pending === undefined) throw new Error('no export is being opened');
    this.#pending = undefined;
    return pending;
  }

  #takeClientFlags(): NegotiationStep | undefined {
    if (this.#bytes.length < nbd.CLIENT_FLAGS_BYTES) return undefined;
    const flags = this.#take(nbd.CLIENT_FLAGS_BYTES).readUInt32BE(0);
    const known = nbd.NBD_FLAG_C_FIXED_NEWSTYLE | nbd.NBD_FLAG_C_NO_ZEROES;
    if ((flags & ~known) !== 0) {
      return this.#hangup(new NbdProtocolError(`unknown client flags 0x${flags.toString(16)}`));
    }
    this.#noZeroes = (flags & nbd.NBD_FLAG_C_NO_ZEROES) !== 0;
    this.#setState('options');
    return this.next();
  }

  #takeOption(): NegotiationStep | undefined {
    // Only parsed bytes count: a large request may have followed NBD_OPT_GO.
    const usedBytes = this.#receivedBytes - this.#bytes.length;
    if (usedBytes > this.#limits.handshakeBytes) {
      const message = `more than ${this.#limits.handshakeBytes} bytes of options`;
      return this.#hangup(new NbdProtocolError(message));
    }
    if (this.#bytes.length < nbd.OPTION_HEADER_BYTES) return undefined;
    if (this.#bytes.readBigUInt64BE(0) !== nbd.NBD_OPTS_MAGIC) {
      return this.#hangup(new NbdProtocolError('an option does not begin with IHAVEOPT'));
    }
    const option = this.#bytes.readUInt32BE(8);
    const length = this.#bytes.readUInt32BE(12);
    if (length > this.#limits.optionBytes) return this.#takeTooLong(option, length);
    if (this.#bytes.length < nbd.OPTION_HEADER_BYTES + length) return undefined;
    this.#options += 1;
    if (this.#options > this.#limits.options) {
      return this.#hangup(new NbdProtocolError(`more than ${this.#limits.options} options`));
    }
    this.#take(nbd.OPTION_HEADER_BYTES);
    return this.#answer(option, this.#take(length));
  }

  #takeTooLong(option: number, length: number): NegotiationStep | undefined {
    const used = this.#receivedBytes - this.#bytes.length;
    if (option === nbd.NBD_OPT_EXPORT_NAME || used + length > this.#limits.handshakeBytes) {
      return this.#hangup(new NbdProtocolError(`option ${option} with ${length} bytes of data`));
    }
    this.#take(nbd.OPTION_HEADER_BYTES);
    this.#options += 1;
    this.#skip = { option, left: length };
    this.#setState('skipping');
    return this.#skipData();
  }

  #skipData(): NegotiationStep | undefined {
    this.#skip.left -= this.#take(Math.min(this.#skip.left, this.#bytes.length)).length;
    if (this.#skip.left > 0) return undefined;
    this.#setState('options');
    const message = `at most ${this.#limits.optionBytes} bytes of option data are accepted`;
    return reply(wire.encodeOptionError(this.#skip.option, 'too-big', message));
  }

  #answer(option: number, data: Buffer): NegotiationStep {
    const isAllowed = option === nbd.NBD_OPT_STARTTLS || option === nbd.NBD_OPT_ABORT;
    if (this.#tls === 'required' && !isAllowed) return this.#refuseInTheClear(option);
    switch (option) {
      case nbd.NBD_OPT_EXPORT_NAME:
        return this.#exportName(data);
      case nbd.NBD_OPT_ABORT:
        this.#setState('ended');
        return { kind: 'abort', bytes: ack(option) };
      case nbd.NBD_OPT_LIST:
        return data.length === 0 ? this.#list(option) : malformed(option);
      case nbd.NBD_OPT_INFO:
      case nbd.NBD_OPT_GO:
        return this.#infoOrGo(option, data);
      case nbd.NBD_OPT_STRUCTURED_REPLY:
      case nbd.NBD_OPT_EXTENDED_HEADERS:
        return data.length === 0 ? this.#takeHeaders(option) : malformed(option);
      case nbd.NBD_OPT_LIST_META_CONTEXT:
      case nbd.NBD_OPT_SET_META_CONTEXT:
        return this.#metaContext(option, data);
      case nbd.NBD_OPT_STARTTLS:
        return data.length === 0 ? this.#startTls(option) : malformed(option);
      default:
        return unsupported(option);
    }
  }

  #takeHeaders(option: number): NegotiationStep {
    if (option === nbd.NBD_OPT_STRUCTURED_REPLY) {
      const message = 'extended headers are already in use';
      if (this.#headers === 'extended') return refuse(option, 'extended-headers-required', message);
      this.#headers = 'structured';
    } else {
      if (!this.#offersExtended) return unsupported(option);
      this.#headers = 'extended';
    }
    return reply(ack(option));
  }

  #startTls(option: number): NegotiationStep {
    if (this.#tls === 'none') return refuse(option, 'unsupported', 'TLS is not offered');
    if (this.#tls === 'done') return refuse(option, 'invalid', 'TLS is already in use');
    if (this.#bytes.length > 0) {
      return this.#hangup(new NbdProtocolError('unencrypted bytes follow NBD_OPT_STARTTLS'));
    }
    this.#setState('securing');
    return { kind: 'starttls', bytes: ack(option) };
  }

  #refuseInTheClear(option: number): NegotiationStep {
    const message = 'TLS is required: send NBD_OPT_STARTTLS first';
    if (option !== nbd.NBD_OPT_EXPORT_NAME) return refuse(option, 'tls-required', message);
    return this.#hangup(new NbdRefusal('tls-required', message));
  }

  #exportName(data: Buffer): NegotiationStep {
    const name = data.toString('utf8');
    const target = this.#find(name);
    if (target === undefined) return this.#hangup(unknownExport(name));
    return this.#open({ option: nbd.NBD_OPT_EXPORT_NAME, target, wanted: new Set() });
  }

  #open(pending: PendingOpen): NegotiationStep {
    this.#pending = pending;
    this.#setState('opening');
    return { kind: 'open', target: pending.target };
  }

  #list(option: number): NegotiationStep {
    const servers = this.#exports().map((each) =>
      wire.encodeServerReply(option, each.name, each.description),
    );
    return reply(Buffer.concat([...servers, ack(option)]));
  }

  #infoOrGo(option: number, data: Buffer): NegotiationStep {
    const request = wire.parseInfoRequest(data);
    if (request === undefined) return malformed(option);
    const target = this.#find(request.name);
    if (target === undefined) {
      const { reason, message } = unknownExport(request.name);
      return refuse(option, reason, message);
    }
    if (option === nbd.NBD_OPT_GO) return this.#open({ option, target, wanted: request.wanted });
    return reply(Buffer.concat([this.#describe(option, target, request.wanted), ack(option)]));
  }

  /** The NBD_REP_INFO replies about an export: NBD_INFO_EXPORT, and what was asked for. */
  #describe(option: number, target: NbdExport, wanted: ReadonlySet<number>): Buffer {
    const flags = wire.transmissionFlags(target.features, this.#headers !== 'simple');
    const infos = [wire.encodeInfoExport(option, target.sizeBytes, flags)];
    if (wanted.has(nbd.NBD_INFO_NAME)) {
      infos.push(wire.encodeInfoText(option, nbd.NBD_INFO_NAME, target.name));
    }
    if (wanted.has(nbd.NBD_INFO_DESCRIPTION) && target.description !== undefined) {
      infos.push(wire.encodeInfoText(option, nbd.NBD_INFO_DESCRIPTION, target.description));
    }
    if (wanted.has(nbd.NBD_INFO_BLOCK_SIZE)) {
      infos.push(wire.encodeInfoBlockSize(option, offeredBlockSize(target, this.#limits)));
    }
    return Buffer.concat(infos);
  }

  #metaContext(option: number, data: Buffer): NegotiationStep {
    const set = option === nbd.NBD_OPT_SET_META_CONTEXT;
    // A SET replaces what was selected before, even if it fails.
    if (set) this.#contextExport = undefined;
    const request = wire.parseMetaContextRequest(data);
    if (request === undefined) return malformed(option);
    if (set && this.#headers === 'simple') {
      return refuse(option, 'invalid', 'structured replies must be negotiated first');
    }
    const target = this.#find(request.name);
    if (target === undefined) {
      const { reason, message } = unknownExport(request.name);
      return refuse(option, reason, message);
    }
    const all = !set && (request.queries.length === 0 || request.queries.includes('base:'));
    const found = META_CONTEXTS.filter(({ name }) => all || request.queries.includes(name));
    if (set && found.length > 0) this.#contextExport = target.name;
    const contexts = found.map(({ id, name }) =>
      wire.encodeMetaContext(option, set ? id : 0, name),
    );
    return reply(Buffer.concat([...contexts, ack(option)]));
  }

  /** The empty name selects the export of that name, or else the only one. */
  #find(name: string): NbdExport | undefined {
    const exports = this.#exports();
    const named = exports.find((each) => each.name === name);
    if (named !== undefined || name !== '') return named;
    return exports.length === 1 ? exports[0] : undefined;
  }
}

/** An export's block size, its maximum limited to what the server accepts. */
export function offeredBlockSize(
  target: NbdExport,
  limits: Pick<NbdLimits, 'payloadBytes'>,
): BlockSize {
  const { minimum, preferred, maximum } = target.blockSize;
  return { minimum, preferred, maximum: Math.min(maximum, limits.payloadBytes) };
}

function ack(option: number): Buffer {
  return wire.encodeOptionReply(option, nbd.NBD_REP_ACK);
}

function reply(bytes: Buffer): NegotiationStep {
  return { kind: 'reply', bytes };
}

function refuse(option: number, reason: RefusalReason, message: string): NegotiationStep {
  return reply(wire.encodeOptionError(option, reason, message));
}

function unsupported(option: number): NegotiationStep {
  return refuse(option, 'unsupported', `option ${option} is not supported`);
}

function malformed(option: number): NegotiationStep {
  return refuse(option, 'invalid', `malformed data of option ${option}`);
}

const NAME_SHOWN_CHARS = 64;

function unknownExport(name: string): NbdRefusal {
  return new NbdRefusal(
    'unknown',
    `no export named ${JSON.stringify(name.slice(0, NAME_SHOWN_CHARS))}`,
  );
}
