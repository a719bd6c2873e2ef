/**
 * Soft-dirty bits: the kernel marks each page that a process writes since they were cleared last
 * (Linux Documentation/admin-guide/mm/soft-dirty.rst, CONFIG_MEM_SOFT_DIRTY).
 */
import { readFile, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PageSet } from '../page-set.js';
import { type FileIdentity, mappingsOf, PageMap, readMaps } from './page-map.js';

/** For clear_refs: the soft-dirty bits. */
const CLEAR_SOFT_DIRTY = '4';
/** Of statfs(2). Its pages have no soft-dirty bits. */
const HUGETLBFS = 0x958458f6;
/** Pages of tmpfs that are collapsed into huge ones lose their bits. */
const HUGE_SHMEM = 'kernel/mm/transparent_hugepage/shmem_enabled';

const PROBE_PAGE_BYTES = 4096;

/** Where the kernel shows itself. Tests have others. */
export interface KernelFolders {
  /** Default `/proc`. */
  readonly proc?: string;
  /** Default `/sys`. */
  readonly sys?: string;
}

/** Which bits. */
export interface DirtyBitsOptions extends KernelFolders {
  /** The only process that writes to the file. */
  readonly pid: number;
  /** The file that it has mapped. */
  readonly file: FileIdentity & { readonly path: string };
  readonly pageBytes: number;
  /** Of the file. */
  readonly pages: number;
}

/** The soft-dirty bits of the pages of one file, as one process has written them. */
export class DirtyBits {
  readonly #options: DirtyBitsOptions;
  readonly #folder: string;
  /** Whether the bits show all that was written since the last take(). */
  #isComplete = false;

  private constructor(options: DirtyBitsOptions) {
    this.#options = options;
    this.#folder = path.join(options.proc ?? '/proc', String(options.pid));
  }

  /** @returns undefined if the bits cannot be relied on, for this file or on this kernel */
  static async open(options: DirtyBitsOptions): Promise<DirtyBits | undefined> {
    const { type } = await statfs(options.file.path);
    if (type === HUGETLBFS || !(await hasDirtyBits(options))) return undefined;
    return new DirtyBits(options);
  }

  /**
   * The pages that may have been written since the last call, and clears their bits.
   *
   * @param isPaused whether the process writes nothing meanwhile. If it does, what a device writes
   *   into pages that it has pinned is not seen, so this call says nothing, nor does the next one.
   * @returns undefined if every page may have been written
   */
  async take(isPaused: boolean): Promise<PageSet | undefined> {
    const mayRely = this.#isComplete && isPaused;
    this.#isComplete = false;
    if (!isPaused || !(await this.#keepsBits())) return undefined;
    const written = mayRely ? await this.#written() : undefined;
    await writeFile(path.join(this.#folder, 'clear_refs'), CLEAR_SOFT_DIRTY);
    this.#isComplete = true;
    return written;
  }

  /** Of a page of a file, the bit goes with the mapping: swapping and collapsing lose both. */
  async #keepsBits(): Promise<boolean> {
    const { proc = '/proc', sys = '/sys' } = this.#options;
    const swaps = await readFile(path.join(proc, 'swaps'), 'utf8').catch(() => '');
    const huge = await readFile(path.join(sys, HUGE_SHMEM), 'utf8').catch(() => '[never]');
    const hasSwap = swaps.trim().split('\n').length > 1;
    return !hasSwap && /\[(never|deny)\]/.test(huge);
  }

  /** All but those that are mapped and not marked. */
  async #written(): Promise<PageSet | undefined> {
    const { file, pages, pageBytes } = this.#options;
    const mappings = await mappingsOf(this.#folder, file, pageBytes);
    const isUnwritten = new Uint8Array(pages);
    const isWritten = new Uint8Array(pages);
    const map = await PageMap.open(this.#folder);
    try {
      for (const mapping of mappings) {
        await map.visit(mapping, (at, isSoftDirty) => {
          (isSoftDirty ? isWritten : isUnwritten)[mapping.filePage + at] = 1;
        });
      }
    } finally {
      await map.close();
    }
    const written = new PageSet(pages);
    for (let page = 0; page < pages; page++) {
      if (isWritten[page] === 1 || isUnwritten[page] === 0) written.add(page);
    }
    return written;
  }
}

/**
 * Whether the kernel keeps soft-dirty bits, found out on the stack of this very process: a kernel
 * without them takes the command to clear them, and then marks nothing.
 */
export async function hasDirtyBits({ proc = '/proc' }: KernelFolders = {}): Promise<boolean> {
  const folder = path.join(proc, 'self');
  try {
    await writeFile(path.join(folder, 'clear_refs'), CLEAR_SOFT_DIRTY);
    const isOwn = ({ name }: { name: string }): boolean => name === '[stack]' || name === '[heap]';
    const found = { marked: 0, unmarked: 0 };
    const map = await PageMap.open(folder);
    try {
      for (const mapping of (await readMaps(folder, PROBE_PAGE_BYTES)).filter(isOwn)) {
        await map.visit(mapping, (_, isSoftDirty) => {
          found[isSoftDirty ? 'marked' : 'unmarked']++;
        });
      }
    } finally {
      await map.close();
    }
    return found.marked > 0 && found.unmarked > 0;
  } catch {
    return false;
  }
}
