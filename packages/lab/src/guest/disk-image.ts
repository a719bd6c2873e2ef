import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MIB = 1024 * 1024;

export interface DiskImageOptions {
  readonly diskMb?: number;
  readonly fillMb?: number;
  readonly local?: { readonly format?: string } | undefined;
}

/** A disk for a guest, with random data at its end. */
export async function makeImage(file: string, options: DiskImageOptions): Promise<void> {
  const { diskMb = 64, fillMb = 0, local: { format = 'raw' } = {} } = options;
  const raw = format === 'raw' ? file : `${file}.raw`;
  const image = await open(raw, 'wx', 0o600);
  try {
    await image.truncate(diskMb * MIB);
    const chunk = Buffer.allocUnsafe(MIB);
    for (let mb = 0; mb < fillMb; mb++) {
      await image.write(randomFillSync(chunk), 0, MIB, (diskMb - fillMb + mb) * MIB);
    }
  } finally {
    await image.close();
  }
  if (raw === file) return;
  await run('qemu-img', ['convert', '-f', 'raw', '-O', format, raw, file]);
  await rm(raw);
}
