/** A VM whose memory is a shared file, as the engines of @gannet/vsmr use it. */
import { lstat, mkdir } from 'node:fs/promises';
import { type SharedRam, sharedRam, sharedRamRemedy, SnapshotVm } from '@gannet/qmp-driver';
import { FileRam } from '@gannet/vsmr';
import type { QmpClient } from 'qemu-qmp-client';
import { GannetError } from '@gannet/contract';

/** The VM and its memory, from open() to close(). */
export class SharedGuest {
  private constructor(
    readonly qmp: QmpClient,
    readonly vm: SnapshotVm,
    readonly shared: SharedRam,
  ) {}

  /**
   * Looks whether the memory can be used, and prepares QEMU for snapshots without it.
   *
   * @throws SnapshotError, GannetError GANNET_NOT_READY
   */
  static async open(qmp: QmpClient): Promise<SharedGuest> {
    const shared = await expectSharedRam(qmp);
    const folder = await folderFor(shared);
    const vm = new SnapshotVm(qmp, { folder });
    await vm.prepare();
    return new SharedGuest(qmp, vm, shared);
  }

  /** Each pair of engines needs its own: the first look compares with zeroes. */
  openRam(): Promise<FileRam> {
    return FileRam.open(this.shared);
  }

  async isRunning(): Promise<boolean> {
    return (await this.qmp.execute('query-status')).running;
  }

  /** An ordinary migration would leave the memory out. Nothing depends on it. */
  async close(): Promise<void> {
    const capabilities = [{ capability: 'x-ignore-shared', state: false }] as const;
    const { qmp, vm } = this;
    await qmp.execute('migrate-set-capabilities', { capabilities }).catch(() => undefined);
    await vm.dispose().catch(() => undefined);
  }
}

/** @throws SnapshotError, GannetError GANNET_NOT_READY */
export async function expectSharedRam(qmp: QmpClient): Promise<SharedRam> {
  const shared = await sharedRam(qmp);
  const { path, bytes } = shared;
  const file = await lstat(path).catch(() => undefined);
  if (file?.isFile() === true && file.size === bytes) return shared;
  const what = file === undefined ? 'is not on this host' : 'is not a file of that size';
  const message = `the guest's memory, ${bytes} bytes in ${path}, ${what}`;
  throw new GannetError('GANNET_NOT_READY', message, sharedRamRemedy(bytes));
}

/** For images of the state of devices, which nobody else may read. */
async function folderFor({ path }: SharedRam): Promise<string> {
  const folder = `${path}.devices`;
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    const found = await lstat(folder).catch(() => undefined);
    const isOurs = found?.isDirectory() === true && found.uid === process.getuid?.();
    if (isOurs && (found.mode & 0o077) === 0) return folder;
    const message = `the folder ${folder} cannot be created: ${(cause as Error).message}`;
    const remedy =
      'Put the memory file into a folder that this daemon can write to, and remove what has ' +
      'that name.';
    throw new GannetError('GANNET_NOT_READY', message, remedy, 'failed', { cause });
  }
  return folder;
}
