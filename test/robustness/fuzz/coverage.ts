import { Session } from 'node:inspector';

interface ScriptCoverage {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

/** Which blocks of our packages have ever been run, as V8 itself counts them. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  #isOn = false;

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.start();
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  start(): void {
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.#isOn = true;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#isOn = false;
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /**
   * How many blocks were run since the last call, and never before. They count as seen, unless it
   * is only a look.
   */
  take(isLook = false): number {
    let scripts: readonly ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, reply) => {
      if (error) throw error;
      scripts = reply.result;
    });
    const fresh = new Set<string>();
    for (const { scriptId, url, functions } of scripts) {
      if (!url.includes('/packages/')) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue;
          const block = `${scriptId}:${startOffset}:${endOffset}`;
          if (!this.#seen.has(block)) fresh.add(block);
        }
      }
    }
    if (!isLook) for (const block of fresh) this.#seen.add(block);
    return fresh.size;
  }

  close(): void {
    this.#session.disconnect();
  }
}
