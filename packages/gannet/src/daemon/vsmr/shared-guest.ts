/** A VM whose memory is a shared file, as the engines of @gannet/vsmr use it. */
import { lstat, mkdir, rmdir } from 'node:fs/promises';
import { type SharedRam, sharedRam, sharedRamRemedy, SnapshotVm } from '@gannet/qmp-driver';
import { FileRam } from '@gannet/vsmr';
import type { QmpClient } from 'qemu-qmp-client';
import { GannetError } from '@gannet/contract';

const IGNORE_SHARED = 'x-ignore-shared';

/** The VM and its memory, from open() to close(). */
export class SharedGuest {
  private constructor(
    readonly qmp: QmpClient,
    readonly vm: SnapshotVm,
    readonly shared: SharedRam,
    private readonly wasIgnored: boolean,
  ) {}

  /**
   * What an earlier process may have left in QEMU: an ordinary migration would leave the memory
   * out. How it was before that process is not known.
   */
  static async forget(qmp: QmpClient): Promise<void> {
    if (await ignoresShared(qmp)) await ignoreShared(qmp, false);
  }

  /**
   * Looks whether the memory can be used, and prepares QEMU for snapshots without it.
   *
   * @throws SnapshotError, GannetError GANNET_NOT_READY
   */
  static async open(qmp: QmpClient): Promise<SharedGuest> {
    const shared = await expectSharedRam(qmp);
    const folder = await folderFor(shared);
    const vm = new SnapshotVm(qmp, { folder });
    const guest = new SharedGuest(qmp, vm, shared, await ignoresShared(qmp));
    try {
      await vm.prepare();
      return guest;
    } catch (error) {
      await guest.close();
      throw error;
    }
  }

  /** Each pair of engines needs its own: the first look compares with zeroes. */
  openRam(): Promise<FileRam> {
    return FileRam.open(this.shared);
  }

  async isRunning(): Promise<boolean> {
    return (await this.qmp.execute('query-status')).running;
  }

  /** Everything as it was before open(). Nothing of ours depends on it any more. */
  async close(): Promise<void> {
    const { qmp, vm, shared, wasIgnored } = this;
    if (!wasIgnored) await ignoreShared(qmp, false).catch(() => undefined);
    await vm.dispose().catch(() => undefined);
    // Not if another VM's files are in it.
    await rmdir(folderOf(shared)).catch(() => undefined);
  }
}

async function ignoresShared(qmp: QmpClient): Promise<boolean> {
  const all = await qmp.execute('query-migrate-capabilities');
  return all.some(({ capability, state }) => capability === IGNORE_SHARED && state);
}

async function ignoreShared(qmp: QmpClient, state: boolean): Promise<void> {
  const capabilities = [{ capability: IGNORE_SHARED, state }] as const;
  await qmp.execute('migrate-set-capabilities', { capabilities });
}

function folderOf({ path }: SharedRam): string {
  return `${path}.devices`;
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
async function folderFor(shared: SharedRam): Promise<string> {
  const folder = folderOf(shared);
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
