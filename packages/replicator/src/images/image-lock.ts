import { setTimeout as sleep } from 'node:timers/promises';
import { BaseImageError } from '../errors.js';
import { messageOf } from '../io-errors.js';
import type { BaseLock } from './base-image.js';
import { protocolNode, StorageDaemon } from './storage-daemon.js';

const RETAKE_PAUSE_MS = 1000;
/** Permissions that QEMU takes to write, and denies others (file-posix.c, raw_apply_lock_bytes). */
const TAKEN = ['consistent-read', 'write', 'resize'];
const UNSHARED = ['write', 'resize'];

/**
 * The locks that QEMU takes on its images, on an image that we read and write ourselves. Node.js
 * has no byte-range locks, so a qemu-storage-daemon that does nothing else holds them. They keep
 * out every QEMU and QEMU tool that would write, and other replicators. They end with that process,
 * which ends with ours. If that process dies, the locks are taken again as soon as they are free.
 */
export class ImageLock implements BaseLock {
  #isReleased = false;
  #isHeld = true;
  #retaking: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    private readonly onTrouble: (error: BaseImageError) => void,
    private daemon: StorageDaemon,
  ) {
    this.#watch();
  }

  /**
   * @throws BaseImageError REPLICA_BASE_IN_USE, or REPLICA_BASE_NOT_USABLE if it can't be locked
   */
  static async take(
    path: string,
    onTrouble: (error: BaseImageError) => void = () => undefined,
  ): Promise<ImageLock> {
    return new ImageLock(path, onTrouble, await hold(path));
  }

  /** Whether other programs are kept away now. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Settles when others may use the image. */
  async release(): Promise<void> {
    this.#isReleased = true;
    await this.#retaking;
    this.daemon.kill();
    await this.daemon.ended;
  }

  #watch(): void {
    void this.daemon.ended.then((words) => {
      this.#isHeld = false;
      if (this.#isReleased) return;
      this.#report(words);
      this.#retaking = this.#retake();
    });
  }

  async #retake(): Promise<void> {
    while (!this.#isReleased) {
      try {
        this.daemon = await hold(this.path);
        this.#isHeld = true;
        this.#watch();
        return;
      } catch (error) {
        this.#report(messageOf(error));
        await sleep(RETAKE_PAUSE_MS);
      }
    }
  }

  #report(words: string): void {
    const what = `the lock on ${this.path} is lost, and nothing is written until it is held again`;
    const message = `${what}: ${words}`;
    const remedy = 'Make sure that nothing else uses the image.';
    this.onTrouble(new BaseImageError('REPLICA_BASE_IN_USE', message, remedy));
  }
}

async function hold(path: string): Promise<StorageDaemon> {
  const node = { ...(await protocolNode(path)), 'node-name': 'image' };
  const lock = {
    driver: 'blkdebug',
    'node-name': 'lock',
    image: 'image',
    'take-child-perms': TAKEN,
    'unshare-child-perms': UNSHARED,
  };
  const args = ['--blockdev', JSON.stringify(node), '--blockdev', JSON.stringify(lock)];
  return StorageDaemon.start(path, args);
}
