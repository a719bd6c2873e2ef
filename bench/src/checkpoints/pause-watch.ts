import { QmpClient } from 'qemu-qmp-client';
import { BenchError } from '../harness/scope.js';

/** Pauses of a guest, by the events of its QEMU. */
export class PauseWatch {
  readonly #pausesMs: number[] = [];
  #stoppedMs: number | undefined;

  private constructor(private readonly qmp: QmpClient) {
    qmp.onEvent('STOP', ({ timestamp }) => (this.#stoppedMs = msOf(timestamp)));
    qmp.onEvent('RESUME', ({ timestamp }) => {
      if (this.#stoppedMs !== undefined) this.#pausesMs.push(msOf(timestamp) - this.#stoppedMs);
      this.#stoppedMs = undefined;
    });
  }

  static async start(path: string): Promise<PauseWatch> {
    return new PauseWatch(await QmpClient.connect({ target: { kind: 'unix', path } }));
  }

  /** @throws BenchError if there were fewer */
  taken(count: number): number[] {
    if (this.#pausesMs.length >= count - 1) return this.#pausesMs.slice(0, count);
    throw new BenchError(`only ${this.#pausesMs.length} of ${count} pauses`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.qmp.close();
  }
}

function msOf({ seconds, microseconds }: { seconds: number; microseconds: number }): number {
  return seconds * 1000 + microseconds / 1000;
}
