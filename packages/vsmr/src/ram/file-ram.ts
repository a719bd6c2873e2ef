import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { reasonOf, VsmrError } from '../errors.js';
import { PageSet } from '../page-set.js';
import type { RamPort } from '../ports.js';
import { DirtyBits, type KernelFolders } from './dirty-bits.js';
import { ShadowScan } from './shadow-scan.js';
import { Shadow } from './shadow.js';

const PAGE_BYTES = 4096;
/** More threads than this do not make the comparison faster: memory is the limit. */
const THREADS_MAX = 4;
/** So often everything is compared, whatever the kernel says. */
const SCANS_PER_AUDIT = 64;

/** Where the RAM of a VM is. */
export interface FileRamOptions {
  /**
   * The file that QEMU has mapped shared: `mem-path` of a memory-backend-file, or
   * `/proc/PID/fd/N` for a memory-backend-memfd.
   */
  readonly path: string;
  /** Size of the RAM; a whole number of pages of 4 KiB. */
  readonly bytes: number;
  /** Threads that compare. Default: as many as there are processors, at most 4. */
  readonly threads?: number;
  /**
   * QEMU's process, if it alone writes to the file: no vhost-user back end has it mapped. Then the
   * kernel's soft-dirty bits say which pages have to be compared, if it keeps them reliably: not
   * with swap space, nor on hugetlbfs. Default: all pages are compared.
   */
  readonly pid?: number;
}

/** Tests have others. */
interface TestOptions extends KernelFolders {
  /** Of the shadow, which is in slices; see Shadow. */
  readonly sliceBytes?: number;
}

/**
 * RAM in a file that QEMU shares. What has changed is found by comparing the file with a shadow: a
 * copy of what it was, in this process. That takes as much memory as the RAM has that is not zero,
 * and threads read all of the file each time.
 */
export class FileRam implements RamPort {
  readonly pageBytes = PAGE_BYTES;
  readonly pages: number;
  readonly #file: FileHandle;
  readonly #scan: ShadowScan;
  readonly #shadow: Shadow;
  #bits: DirtyBits | undefined;
  #scans = 0;
  /** A comparison has failed: what it had found already is not known any more. */
  #isUnsure = false;

  private constructor(file: FileHandle, shadow: Shadow, threads: number, bits?: DirtyBits) {
    this.#file = file;
    this.#bits = bits;
    this.pages = shadow.pages;
    this.#shadow = shadow;
    this.#scan = new ShadowScan({ fd: file.fd, shadow, threads });
  }

  /** @throws VsmrError VSMR_RAM if there is no such file, or it has another size */
  static async open(options: FileRamOptions & TestOptions): Promise<FileRam> {
    const { path, bytes, threads, pid, sliceBytes, ...folders } = options;
    const file = await step(`open ${path}`, () => open(path, 'r+'));
    try {
      const { size, dev, ino } = await step(`look at ${path}`, () => file.stat());
      if (size !== bytes || bytes % PAGE_BYTES !== 0) {
        const message = `${path} has ${size} bytes, not ${bytes} in pages of ${PAGE_BYTES}`;
        const remedy = 'Give the path and the size of the memory backend that the VM uses.';
        throw new VsmrError('VSMR_RAM', message, remedy);
      }
      const most = Math.min(availableParallelism(), THREADS_MAX);
      const pages = bytes / PAGE_BYTES;
      const identity = { path, dev, ino };
      const map = { ...folders, file: identity, pageBytes: PAGE_BYTES, pages };
      const bits = pid === undefined ? undefined : await DirtyBits.open({ ...map, pid });
      const shadow = Shadow.allocate(pages, PAGE_BYTES, sliceBytes);
      return new FileRam(file, shadow, threads ?? most, bits);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Whether the kernel's soft-dirty bits are used. */
  get hasDirtyBits(): boolean {
    return this.#bits !== undefined;
  }

  /** @throws VsmrError VSMR_RAM; then the next one reports all pages */
  async refresh(isPaused = false): Promise<PageSet> {
    const written = await this.#written(isPaused);
    const wasUnsure = this.#isUnsure;
    const isAudit = this.#scans++ % SCANS_PER_AUDIT === 0 || wasUnsure;
    this.#isUnsure = true;
    const lists = await step('compare RAM', () => this.#scan.run(isAudit ? undefined : written));
    this.#isUnsure = false;
    const changed = new PageSet(this.pages);
    for (const list of lists) changed.addAll(list);
    // One that the kernel has kept silent about: it is not asked any more.
    if (written !== undefined && [...changed].some((page) => !written.has(page))) {
      this.#bits = undefined;
    }
    for (let page = 0; wasUnsure && page < this.pages; page++) changed.add(page);
    return changed;
  }

  /** Without an answer everything is compared. */
  async #written(isPaused: boolean): Promise<PageSet | undefined> {
    try {
      return await this.#bits?.take(isPaused);
    } catch {
      this.#bits = undefined;
      return undefined;
    }
  }

  read(pages: Uint32Array): Promise<Uint8Array> {
    const data = new Uint8Array(pages.length * PAGE_BYTES);
    for (const [at, page] of pages.entries()) {
      data.set(this.#shadow.view(page, 1), at * PAGE_BYTES);
    }
    return Promise.resolve(data);
  }

  /** @throws VsmrError VSMR_RAM */
  write(pages: Uint32Array, data: Uint8Array): Promise<void> {
    return step('write RAM', () => Promise.resolve(this.#writeNow(pages, data)));
  }

  /** The file is memory: to hand each write to another thread would take longer. */
  #writeNow(pages: Uint32Array, data: Uint8Array): void {
    for (const { at, count } of pageRuns(pages)) {
      const piece = data.subarray(at * PAGE_BYTES, (at + count) * PAGE_BYTES);
      const first = pages[at] ?? 0;
      const offset = first * PAGE_BYTES;
      for (let done = 0; done < piece.length;) {
        done += writeSync(this.#file.fd, piece, done, piece.length - done, offset + done);
      }
      this.#shadow.write(first, piece);
    }
  }

  /** Ends the threads and closes the file. The file stays. */
  async close(): Promise<void> {
    await this.#scan.close();
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Where pages follow each other: the first one's place in the list, and how many there are. */
export function* pageRuns(pages: Uint32Array): Generator<{ at: number; count: number }, void> {
  for (let at = 0, count: number; at < pages.length; at += count) {
    count = 1;
    while (pages[at + count] === (pages[at] ?? 0) + count) count++;
    yield { at, count };
  }
}

async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const remedy = 'See that the file is there, and that this process may read and write it.';
    throw new VsmrError('VSMR_RAM', `cannot ${what}: ${reasonOf(cause)}`, remedy, { cause });
  }
}
