/**
 * What the kernel knows of the pages of a file that a process has mapped: /proc/PID/maps and
 * /proc/PID/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst).
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';

/** A part of the process's memory that shows a part of a file. */
export interface Mapping {
  /** Number of the first page of the process's memory. */
  readonly page: number;
  readonly pages: number;
  /** Number of the first page of the file. */
  readonly filePage: number;
}

/** Which file, as fstat() gives it. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** Bit 55: written since clear_refs. */
const SOFT_DIRTY = 1 << (55 - 32);
/** Bit 63: in memory. */
const PRESENT = 1 << (63 - 32);
const ENTRY_BYTES = 8;
/** Entries in one read. */
const READ_ENTRIES = 64 * 1024;
/** `start-end perms offset major:minor inode path` */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/;

/** One line of /proc/PID/maps. */
export interface MapLine extends Mapping, FileIdentity {
  /** What is mapped: a path, or a name like `[stack]`. */
  readonly name: string;
}

/** @throws Error of Node.js if there is no such process, or it may not be read */
export async function readMaps(folder: string, pageBytes: number): Promise<MapLine[]> {
  const lines = (await readFile(path.join(folder, 'maps'), 'utf8')).split('\n');
  return lines.flatMap((line) => {
    const [, start, end, offset, major, minor, inode, name = ''] = LINE.exec(line) ?? [];
    if (start === undefined || end === undefined) return [];
    const number = (text: string | undefined): number => Number.parseInt(text ?? '', 16);
    const page = number(start) / pageBytes;
    return {
      ...{
        page,
        pages: number(end) / pageBytes - page,
        filePage: number(offset) / pageBytes,
        name,
      },
      ...{ dev: deviceOf(number(major), number(minor)), ino: Number(inode) },
    };
  });
}

/** As glibc's makedev(). */
function deviceOf(major: number, minor: number): number {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12);
}

/** @returns the parts of the file that the process has mapped */
export async function mappingsOf(
  folder: string,
  { dev, ino }: FileIdentity,
  pageBytes: number,
): Promise<Mapping[]> {
  const lines = await readMaps(folder, pageBytes);
  return lines.filter((line) => line.ino === ino && line.dev === dev);
}

/** /proc/PID/pagemap. */
export class PageMap {
  readonly #buffer = Buffer.alloc(READ_ENTRIES * ENTRY_BYTES);

  private constructor(private readonly file: FileHandle) {}

  static async open(folder: string): Promise<PageMap> {
    return new PageMap(await open(path.join(folder, 'pagemap')));
  }

  /**
   * Calls `visit` with each page of a mapping that is in memory, counted from its first one.
   *
   * @throws Error of Node.js
   * @throws Error if the process has less memory
   */
  async visit(
    { page, pages }: Mapping,
    visit: (at: number, isSoftDirty: boolean) => void,
  ): Promise<void> {
    for (let at = 0; at < pages;) {
      const wanted = Math.min(READ_ENTRIES, pages - at);
      const position = (page + at) * ENTRY_BYTES;
      const { bytesRead } = await this.file.read(this.#buffer, 0, wanted * ENTRY_BYTES, position);
      const count = Math.floor(bytesRead / ENTRY_BYTES);
      if (count === 0) throw new Error('the page map is shorter than the memory of the process');
      for (let entry = 0; entry < count; entry++) {
        const high = this.#buffer.readInt32LE(entry * ENTRY_BYTES + 4);
        if ((high & (PRESENT | SOFT_DIRTY)) !== 0) visit(at + entry, (high & SOFT_DIRTY) !== 0);
      }
      at += count;
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
