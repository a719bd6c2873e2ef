import { createHash, type Hash } from 'node:crypto';

/** Some pages and what they contain. */
export interface PageContents {
  readonly pages: Uint32Array;
  readonly data: Uint8Array;
}

/** Covers all pages and device state of a checkpoint, in the order in which they were sent. */
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
  readonly #devices: Uint8Array[] = [];

  addPages(contents: PageContents): void {
    this.addWrittenPages(contents);
    this.#contents.push(contents);
  }

  /** Pages that are in RAM already: they only count for the digest. */
  addWrittenPages(contents: PageContents): void {
    this.#digest.addPages(contents);
  }

  addDevices(data: Uint8Array): void {
    this.#digest.addDevices(data);
    this.#devices.push(data);
  }

  get contents(): readonly PageContents[] {
    return this.#contents;
  }

  get devices(): Uint8Array {
    return Buffer.concat(this.#devices);
  }

  /** Whether this is what the primary has sent. To be called once. */
  matches(digest: Uint8Array): boolean {
    return Buffer.compare(this.#digest.finish(), digest) === 0;
  }
}
