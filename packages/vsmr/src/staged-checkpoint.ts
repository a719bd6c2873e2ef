import { createHash, type Hash } from 'node:crypto';
import type { DevicesPart } from './wire/frames.js';

/** Some pages and what they contain. */
export interface PageContents {
  readonly pages: Uint32Array;
  readonly data: Uint8Array;
}

/** Covers the pages of a checkpoint in the order in which they were sent, and all device state. */
export class CheckpointDigest {
  readonly #hash: Hash = createHash('sha256');

  addPages({ pages, data }: PageContents): void {
    this.#hash.update(`pages ${pages.join()}\n`).update(data);
  }

  addDevices(data: Uint8Array): void {
    this.#hash.update(`devices ${data.length}\n`).update(data);
  }

  /** To be called once. */
  finish(): Uint8Array {
    return this.#hash.digest();
  }
}

/** A checkpoint that arrives: kept beside RAM and devices until all of it is here. */
export class StagedCheckpoint {
  readonly #digest = new CheckpointDigest();
  readonly #contents: PageContents[] = [];
  readonly #lastDevices: Uint8Array;
  #devices: Uint8Array | undefined;

  /** @param lastDevices the state of the devices at the last checkpoint */
  constructor(lastDevices: Uint8Array = new Uint8Array()) {
    this.#lastDevices = lastDevices;
  }

  addPages(contents: PageContents): void {
    this.addWrittenPages(contents);
    this.#contents.push(contents);
  }

  /** Pages that are in RAM already: they only count for the digest. */
  addWrittenPages(contents: PageContents): void {
    this.#digest.addPages(contents);
  }

  addDevices({ bytes, offset, data }: DevicesPart): void {
    if (this.#devices?.length !== bytes) {
      this.#devices = new Uint8Array(bytes);
      this.#devices.set(this.#lastDevices.subarray(0, bytes));
    }
    this.#devices.set(data, offset);
  }

  get contents(): readonly PageContents[] {
    return this.#contents;
  }

  get devices(): Uint8Array {
    return this.#devices ?? new Uint8Array();
  }

  /** Whether this is what the primary has. To be called once. */
  matches(digest: Uint8Array): boolean {
    if (this.#devices !== undefined) this.#digest.addDevices(this.#devices);
    return Buffer.compare(this.#digest.finish(), digest) === 0;
  }
}
