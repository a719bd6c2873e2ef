/** What the tests of verify and of backups ask of a pair. */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { compareDigests, type DigestComparison, guestDiskName, type LabPair } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

const run = promisify(execFile);

/** A bit of a base changes by itself. */
export async function flipBit(base: string, offset: number): Promise<void> {
  const file = await open(base, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    await file.write(byte, 0, 1, offset);
  } finally {
    await file.close();
  }
}

/** What the primary's QEMU offers over NBD and the like. */
export async function exportsOf({ primary }: LabPair): Promise<readonly unknown[]> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: primary.qmpPaths[0] } });
  try {
    return await qmp.execute('query-block-exports');
  } finally {
    await qmp.close();
  }
}

export async function isVerifying({ primaryDaemon }: LabPair): Promise<boolean> {
  const status = await primaryDaemon.client.call('status', {});
  return status.role === 'primary' && status.verifying !== undefined;
}

/**
 * Takes a snapshot of what the primary's guest knows it has written, lets it write on until the
 * replica's bases hold later epochs, and copies the snapshot meanwhile.
 *
 * @returns how the copies compare with what the guest knew
 */
export async function backup(running: LabPair): Promise<DigestComparison[]> {
  const { primary, primaryDaemon, secondaryDaemon, regionCount } = running;
  await primary.command('stop');
  const digests = await primary.oracle.waitForDigests(regionCount, { signal: primary.gone });
  await primaryDaemon.client.call('checkpoint', {});
  const { snapshot, disks } = await secondaryDaemon.client.call('snapshot', {});
  await primary.command('go');
  await primary.oracle.waitForWrites(300, { signal: primary.gone });
  const epoch = (snapshot?.epoch ?? 0) + 3;
  while (
    !secondaryDaemon.eventsOf('write-back').some(({ epochs }) => epochs.some((e) => e > epoch))
  ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const images: Record<string, string> = {};
  for (const [at, { disk, uri }] of disks.entries()) {
    const image = path.join(running.dir, `${disk}-backup.raw`);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, image]);
    images[guestDiskName(at)] = image;
  }
  const status = await secondaryDaemon.client.call('status', {});
  if (status.role === 'secondary' && !((status.snapshot?.keptBytes ?? 0) > 0)) {
    throw new Error('nothing was overwritten meanwhile: this shows nothing');
  }
  await secondaryDaemon.client.call('snapshot', { drop: true });
  return compareDigests(digests, images);
}
