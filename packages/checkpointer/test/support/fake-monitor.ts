import {
  type ColoModes,
  type ColoMonitor,
  type ColoMonitorEvent,
  ColoSource,
  type ColoSourceOptions,
} from '../../src/colo-source.js';

export const COLO: ColoModes = { mode: 'secondary', lastMode: 'none' };
export const FAILED_OVER: ColoModes = { mode: 'none', lastMode: 'secondary' };

/** A secondary's QMP socket: answers come when the test says so, in the order of the questions. */
export class FakeMonitor implements ColoMonitor {
  #listener: ((event: ColoMonitorEvent) => void) | undefined;
  readonly statusAnswers: ((status: ColoModes | Error) => void)[] = [];
  readonly stateAnswers: ((state: string | Error) => void)[] = [];

  subscribe(listener: (event: ColoMonitorEvent) => void): () => void {
    this.#listener = listener;
    return () => (this.#listener = undefined);
  }

  queryColoStatus(callback: (status: ColoModes | Error) => void): void {
    this.statusAnswers.push(callback);
  }

  queryRunState(callback: (state: string | Error) => void): void {
    this.stateAnswers.push(callback);
  }

  event(event: ColoMonitorEvent): void {
    this.#listener?.(event);
  }

  status(status: ColoModes | Error): void {
    this.statusAnswers.shift()?.(status);
  }

  state(state: string | Error): void {
    this.stateAnswers.shift()?.(state);
  }
}

export function listen(options: ColoSourceOptions = {}): {
  monitor: FakeMonitor;
  heard: string[];
  stop: () => void;
} {
  const monitor = new FakeMonitor();
  const heard: string[] = [];
  const stop = new ColoSource(monitor, options).subscribe(({ kind }) => heard.push(kind));
  return { monitor, heard, stop };
}
