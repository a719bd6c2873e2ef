import type { CommitSummary, ReplicaPort } from '../../src/ports.js';

/** A replica that notes what is done to it. */
export class FakeReplica implements ReplicaPort {
  readonly calls: string[] = [];
  readonly link = {
    isConnected: true,
    loss: undefined as string | undefined,
    lossWasClean: false,
  };
  readonly gate;
  isSecondaryRunning = true;
  refusal: Error | undefined;
  #epoch = 0;

  constructor() {
    const { calls } = this;
    this.gate = {
      isClosed: false,
      close() {
        this.isClosed = true;
        calls.push('close');
      },
      open() {
        this.isClosed = false;
        calls.push('open');
      },
    };
  }

  lose(wasClean: boolean): void {
    this.link.loss = 'cable cut';
    this.link.lossWasClean = wasClean;
  }

  commit(): CommitSummary {
    return this.#step('commit');
  }

  failOver(): CommitSummary {
    return this.#step('failOver');
  }

  diverge(): void {
    this.calls.push('diverge');
  }

  outdate(): void {
    this.calls.push('outdate');
  }

  secondaryRuns(isRunning: boolean): void {
    this.isSecondaryRunning = isRunning;
  }

  #step(name: string): CommitSummary {
    if (this.refusal) throw this.refusal;
    if (!this.gate.isClosed) throw new Error(`${name} with the gate open`);
    this.calls.push(name);
    return { epoch: ++this.#epoch, committedPages: 1, droppedPages: 2, unflushedWrites: 0 };
  }
}
