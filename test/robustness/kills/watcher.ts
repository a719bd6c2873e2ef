import { type FSWatcher, watch } from 'node:fs';

/**
 * Ends a process with SIGKILL when a folder has seen so many changes: a base that is written, a
 * journal that grows, a state file that is renamed. The moment is always one in which something is
 * being written.
 */
export class KillAtChange {
  readonly #watcher: FSWatcher;
  #left: number;
  /** The file whose change it was. */
  file: string | undefined;

  constructor(
    folder: string,
    changes: number,
    private readonly kill: () => void,
    /** Changes of other files do not count. */
    isMeant: (file: string) => boolean = () => true,
  ) {
    this.#left = changes;
    this.#watcher = watch(folder, (_event, file) => {
      if (file === null || !isMeant(file) || this.file !== undefined) return;
      if (--this.#left > 0) return;
      this.file = file;
      this.kill();
    });
  }

  close(): void {
    this.#watcher.close();
  }
}
