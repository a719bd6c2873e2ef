// What is between the two hosts: one network for the daemons' link, one for QEMU's channel and
// disks. Each direction fails by itself.

export type HostName = 'a' | 'b';

/** `silent`: what is sent stays under way until it works again. `reset`: connections break. */
export class Network {
  readonly #silent = new Set<HostName>();
  readonly #onChange = new Set<() => void>();

  /** @param from whose packets get lost */
  silence(from: HostName): void {
    this.#silent.add(from);
    this.#changed();
  }

  heal(): void {
    this.#silent.clear();
    this.#changed();
  }

  get isWhole(): boolean {
    return this.#silent.size === 0;
  }

  carries(from: HostName): boolean {
    return !this.#silent.has(from);
  }

  on(listener: () => void): void {
    this.#onChange.add(listener);
  }

  off(listener: () => void): void {
    this.#onChange.delete(listener);
  }

  #changed(): void {
    for (const listener of [...this.#onChange]) listener();
  }
}
