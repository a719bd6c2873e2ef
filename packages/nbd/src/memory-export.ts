import { NbdUsageError } from './errors.js';
import type { BlockSize, ExportFeatures, ExportSession, Extent, NbdExport } from './export.js';

/** All features, for exports that hold their data in memory. */
export const MEMORY_FEATURES: ExportFeatures = {
  readOnly: false,
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  cache: true,
  multiConn: true,
};

/** What a `MemoryExport` offers; by default everything. */
export interface MemoryExportOptions {
  readonly description?: string;
  readonly features?: Partial<ExportFeatures>;
  readonly blockSize?: Partial<BlockSize>;
}

/** An export whose data is one buffer: for tests, examples and measurements. */
export class MemoryExport implements NbdExport {
  readonly name: string;
  readonly description: string;
  readonly features: ExportFeatures;
  readonly blockSize: BlockSize;
  /** The disk's contents. */
  readonly data: Buffer;

  /** @throws NbdUsageError */
  constructor(name: string, sizeBytes: number, options: MemoryExportOptions = {}) {
    if (typeof name !== 'string' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw new NbdUsageError('a MemoryExport has a name, and a size in bytes');
    }
    this.name = name;
    this.description = options.description ?? `${sizeBytes} bytes of memory`;
    this.features = { ...MEMORY_FEATURES, ...options.features };
    this.blockSize = {
      minimum: 1,
      preferred: 4096,
      maximum: 32 * 1024 * 1024,
      ...options.blockSize,
    };
    this.data = Buffer.alloc(sizeBytes);
  }

  get sizeBytes(): number {
    return this.data.length;
  }

  open(): ExportSession {
    const { data } = this;
    return {
      read: (offset, target) => target.set(data.subarray(offset, offset + target.length)),
      write: (offset, bytes) => data.set(bytes, offset),
      flush: () => undefined,
      trim: (offset, length) => void data.fill(0, offset, offset + length),
      writeZeroes: (offset, length) => void data.fill(0, offset, offset + length),
      cache: () => undefined,
      blockStatus: (offset, length) => scan(data, offset, offset + length),
      close: () => undefined,
    };
  }
}

const PAGE_BYTES = 4096;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** Pages of zeros are holes. */
function scan(data: Buffer, from: number, to: number): Extent[] {
  const extents: Extent[] = [];
  for (let at = from; at < to;) {
    const end = Math.min(to, at - (at % PAGE_BYTES) + PAGE_BYTES);
    const zero = data.compare(ZERO_PAGE, 0, end - at, at, end) === 0;
    extents.push({ length: end - at, hole: zero, zero });
    at = end;
  }
  return extents;
}
