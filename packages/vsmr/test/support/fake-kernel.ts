import { mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { KernelFolders } from '../../src/ram/dirty-bits.js';

/** Where the file is in the memory of the fake process. */
const FIRST_PAGE = 0x1000;
const STACK_PAGE = 0x9000;
const STACK_PAGES = 4;
const PRESENT = 1n << 63n;
const SOFT_DIRTY = 1n << 55n;
export const FAKE_PID = 4711;

/**
 * The files in /proc and /sys of a kernel with soft-dirty bits, as text and tables. Clearing is up
 * to the test: `cleared()` says whether it was asked for.
 */
export class FakeKernel implements KernelFolders {
  readonly proc: string;
  readonly sys: string;

  private constructor(
    readonly folder: string,
    private readonly pages: number,
  ) {
    this.proc = path.join(folder, 'proc');
    this.sys = path.join(folder, 'sys');
  }

  static async create(ramPath: string, pages: number): Promise<FakeKernel> {
    const folder = await mkdtemp(path.join(tmpdir(), 'gannet-kernel-'));
    const kernel = new FakeKernel(folder, pages);
    const { dev, ino } = await stat(ramPath);
    const device = `${hex((dev >> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >> 12) & ~0xff))}`;
    // Two mappings, as if QEMU had mapped the file in parts, and others' between them.
    const half = pages >> 1;
    const maps = [
      line(0x400, 4, '00:00 0', '[heap]'),
      line(FIRST_PAGE, half, `${device} ${ino}`, ramPath),
      line(FIRST_PAGE + half, 1, `${device} ${ino + 1}`, '/lib/libc.so'),
      line(FIRST_PAGE + half + 1, pages - half, `${device} ${ino}`, ramPath, half),
      line(STACK_PAGE, STACK_PAGES, '00:00 0', '[stack]'),
    ];
    for (const pid of ['self', String(FAKE_PID)]) {
      const own = path.join(kernel.proc, pid);
      await mkdir(own, { recursive: true });
      await writeFile(path.join(own, 'maps'), maps.join(''));
      await writeFile(path.join(own, 'pagemap'), Buffer.alloc((STACK_PAGE + STACK_PAGES) * 8));
      await writeFile(path.join(own, 'clear_refs'), '');
    }
    await kernel.setSwaps('');
    for (let page = 0; page < pages; page++) await kernel.setPage(page, { isPresent: true });
    await kernel.setStack([true, false, false, true]);
    return kernel;
  }

  async setSwaps(lines: string): Promise<void> {
    await writeFile(path.join(this.proc, 'swaps'), `Filename Type Size Used Priority\n${lines}`);
  }

  /** Of transparent huge pages. */
  async setHugeShmem(choice: string): Promise<void> {
    const folder = path.join(this.sys, 'kernel/mm/transparent_hugepage');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'shmem_enabled'), `always ${choice} force\n`);
  }

  /** What the process's page map says of a page of the file. */
  async setPage(page: number, { isPresent = false, isDirty = false }): Promise<void> {
    const half = this.pages >> 1;
    const at = FIRST_PAGE + page + (page < half ? 0 : 1);
    await this.#setEntry(String(FAKE_PID), at, isPresent, isDirty);
  }

  /** What our own stack looks like, after its bits were cleared. */
  async setStack(marks: readonly boolean[]): Promise<void> {
    for (const [at, isDirty] of marks.entries()) {
      await this.#setEntry('self', STACK_PAGE + at, true, isDirty);
    }
  }

  /** What has been written to clear_refs since the last call. */
  async cleared(): Promise<string> {
    const file = path.join(this.proc, String(FAKE_PID), 'clear_refs');
    const text = await readFile(file, 'utf8');
    await writeFile(file, '');
    return text;
  }

  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }

  async #setEntry(pid: string, page: number, isPresent: boolean, isDirty: boolean): Promise<void> {
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64LE((isPresent ? PRESENT : 0n) | (isDirty ? SOFT_DIRTY : 0n));
    const file = await open(path.join(this.proc, pid, 'pagemap'), 'r+');
    await file.write(entry, 0, 8, page * 8);
    await file.close();
  }
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');

function line(page: number, pages: number, file: string, name: string, filePage = 0): string {
  const [start, end] = [page * 4096, (page + pages) * 4096].map(hex);
  const offset = hex(filePage * 4096).padStart(8, '0');
  return `${start}-${end} rw-s ${offset} ${file}   ${name}\n`;
}
