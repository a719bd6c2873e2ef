/**
 * What QEMU's colo-compare and an engine other than COLO say to each other at `notify_dev`. A
 * message is its length (u32, big-endian) and its text. From us, a u32 for the length of a virtio
 * header comes between them where colo-compare has `vnet_hdr_support`; it counts it as no part of
 * the text.
 *
 *     us                            colo-compare
 *     COLO_USERSPACE_PROXY_INIT     COLO_COMPARE_GET_XEN_INIT, its answer
 *     COLO_CHECKPOINT               (none) packets of the primary go, those of the secondary are
 *                                   dropped
 *                                   DO_CHECKPOINT: outputs differ
 *
 * Source: QEMU net/colo-compare.c, compare_notify_rs_finalize() and notify_remote_frame().
 */
import { connect, type Socket } from 'node:net';
import { NetworkError, qemuReason } from '../errors.js';

const GREETING = 'COLO_USERSPACE_PROXY_INIT';
const GREETED = 'COLO_COMPARE_GET_XEN_INIT';
const CHECKPOINT = 'COLO_CHECKPOINT';
const DIFFERS = 'DO_CHECKPOINT';
const NUMBER_BYTES = 4;
/** More than any message has. */
const TEXT_BYTES_MAX = 1024;

/** Options of CompareNotices. */
export interface CompareNoticesOptions {
  /** Of the socket of `notify_dev`. */
  readonly path: string;
  /** Whether colo-compare has `vnet_hdr_support`. */
  readonly hasVnetHeader: boolean;
  /** For an answer. */
  readonly timeoutMs: number;
  /** The guests have sent different packets, or only one has sent one: a checkpoint is due. */
  readonly onDiffer: () => void;
}

/** One connection to a colo-compare. */
export class CompareNotices {
  readonly #socket: Socket;
  readonly #options: CompareNoticesOptions;
  #unread: Buffer = Buffer.alloc(0);
  /** Those who wait for an answer, in order. */
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #end: Error | undefined;

  private constructor(options: CompareNoticesOptions) {
    this.#options = options;
    this.#socket = connect(options.path);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#finish(error));
    this.#socket.on('close', () => this.#finish(new Error('the connection has ended')));
  }

  /** @throws NetworkError `DRIVER_NETWORK_REFUSED` if it does not answer */
  static async connect(options: CompareNoticesOptions): Promise<CompareNotices> {
    const notices = new CompareNotices(options);
    try {
      await notices.#greet();
      return notices;
    } catch (cause) {
      notices.close();
      const message = `colo-compare does not answer at ${options.path}: ${qemuReason(cause)}`;
      const remedy = 'See that nobody else is connected to this socket, and that QEMU answers.';
      throw new NetworkError('DRIVER_NETWORK_REFUSED', message, remedy, { cause });
    }
  }

  /**
   * There was a checkpoint: what the primary has sent goes out. Resolves when it has gone, so that
   * nothing that the guest sends later goes with it.
   *
   * @throws NetworkError `DRIVER_NETWORK_STUCK`
   */
  async checkpointed(): Promise<void> {
    try {
      this.#send(CHECKPOINT);
      // It has no answer of its own; messages are handled in order.
      await this.#greet();
    } catch (cause) {
      const message = `the packets of the guest cannot be released: ${qemuReason(cause)}`;
      const remedy = 'Go on alone, if the secondary can be kept from taking over.';
      throw new NetworkError('DRIVER_NETWORK_STUCK', message, remedy, { cause });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #greet(): Promise<void> {
    const { timeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      if (this.#end) reject(this.#end);
      else this.#waiting.push({ resolve, reject });
      timer = setTimeout(() => reject(new Error(`no answer for ${timeoutMs} ms`)), timeoutMs);
    });
    this.#send(GREETING);
    await answered.finally(() => clearTimeout(timer));
  }

  #send(text: string): void {
    const { hasVnetHeader } = this.#options;
    const head = Buffer.alloc(hasVnetHeader ? 2 * NUMBER_BYTES : NUMBER_BYTES);
    head.writeUInt32BE(text.length);
    this.#socket.write(Buffer.concat([head, Buffer.from(text)]));
  }

  #take(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= NUMBER_BYTES) {
      const length = this.#unread.readUInt32BE();
      if (length > TEXT_BYTES_MAX) {
        this.#socket.destroy(new Error(`a message of ${length} bytes`));
        return;
      }
      if (this.#unread.length < NUMBER_BYTES + length) return;
      const text = this.#unread.toString('latin1', NUMBER_BYTES, NUMBER_BYTES + length);
      this.#unread = this.#unread.subarray(NUMBER_BYTES + length);
      if (text === DIFFERS) this.#options.onDiffer();
      else if (text === GREETED) this.#waiting.shift()?.resolve();
    }
  }

  #finish(error: Error): void {
    this.#end ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#end);
  }
}
