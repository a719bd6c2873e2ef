import type { DaemonEvent, EventDetails } from '@gannet/contract';
import { bytesOfPages, formatBytes, formatMs } from '@gannet/contract/format';

export interface SummaryLine {
  readonly checkpoints: number;
  readonly bytes: number;
  /** Of the guest; null if none was seen. */
  readonly pauseMedianMs: number | null;
  readonly pauseMaxMs: number | null;
  readonly text: string;
}

/**
 * The checkpoints of a minute in one line of the log: each of them is logged at `debug` only, and
 * there are up to 86 400 and more a day.
 */
export class CheckpointSummary {
  #checkpoints = 0;
  #pages = 0;
  #pausesMs: number[] = [];

  note(event: DaemonEvent): void {
    if (event.kind === 'commit') this.#count(event);
    if (event.kind !== 'checkpoint') return;
    // The secondary has its own commits to count, and the pauses from the primary.
    if (event.role === 'primary') this.#count(event);
    if (event.pausedMs !== null) this.#pausesMs.push(event.pausedMs);
  }

  /** What there was since the last call; undefined if that is nothing. */
  take(): SummaryLine | undefined {
    const [checkpoints, bytes] = [this.#checkpoints, bytesOfPages(this.#pages)];
    const pausesMs = this.#pausesMs.sort((a, b) => a - b);
    this.#checkpoints = this.#pages = 0;
    this.#pausesMs = [];
    if (checkpoints === 0) return undefined;
    const pauseMedianMs = rounded(pausesMs[Math.floor(pausesMs.length / 2)]);
    const pauseMaxMs = rounded(pausesMs.at(-1));
    const pauses =
      pauseMedianMs === null || pauseMaxMs === null
        ? ''
        : `, guest paused ${formatMs(pauseMedianMs)} (median), ${formatMs(pauseMaxMs)} (longest)`;
    const noun = checkpoints === 1 ? 'checkpoint' : 'checkpoints';
    const text = `${checkpoints} ${noun}, ${formatBytes(bytes)} committed${pauses}`;
    return { checkpoints, bytes, pauseMedianMs, pauseMaxMs, text };
  }

  #count({ committedPages }: Pick<EventDetails['commit'], 'committedPages'>): void {
    this.#checkpoints++;
    this.#pages += committedPages;
  }
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 100) / 100;
}
