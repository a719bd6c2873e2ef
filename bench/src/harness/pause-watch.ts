import { QmpClient } from 'qemu-qmp-client';
import { BenchError } from './scope.js';

interface Pause {
  /** When the host heard of its begin, on performance.now(). */
  readonly heardMs: number;
  /** By the clock of QEMU. */
  readonly ms: number;
}

/** Pauses of a guest, by the events of its QEMU. */
export class PauseWatch {
  readonly #pauses: Pause[] = [];
  #stopped: { readonly heardMs: number; readonly atMs: number } | undefined;

  private constructor(private readonly qmp: QmpClient) {
    qmp.onEvent('STOP', ({ timestamp }) => {
      this.#stopped = { heardMs: performance.now(), atMs: msOf(timestamp) };
    });
    qmp.onEvent('RESUME', ({ timestamp }) => {
      if (!this.#stopped) return;
      const { heardMs, atMs } = this.#stopped;
      this.#pauses.push({ heardMs, ms: msOf(timestamp) - atMs });
      this.#stopped = undefined;
    });
  }

  static async start(path: string): Promise<PauseWatch> {
    return new PauseWatch(await QmpClient.connect({ target: { kind: 'unix', path } }));
  }

  /** @throws BenchError if there were fewer */
  taken(count: number): number[] {
    const { length } = this.#pauses;
    if (length >= count - 1) return this.#pauses.slice(0, count).map(({ ms }) => ms);
    throw new BenchError(`only ${length} of ${count} pauses`);
  }

  /** Of those that began between two moments on performance.now(). */
  within(fromMs: number, toMs: number): number[] {
    const chosen = this.#pauses.filter(({ heardMs }) => heardMs >= fromMs && heardMs <= toMs);
    return chosen.map(({ ms }) => ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.qmp.close();
  }
}

function msOf({ seconds, microseconds }: { seconds: number; microseconds: number }): number {
  return seconds * 1000 + microseconds / 1000;
}
