// The replica, as its daemon knows it: its states, its link, its commits. What it does with the
// data is simulated next door. And an NBD server that nobody needs.

import { randomUUID } from 'node:crypto';
import type { ReplicaEvent, ReplicaState } from '@gannet/replicator';
import { currentProcess, currentScheduler, type Process } from '../scheduler.js';

/** States of the bases of a host that outlive its daemon. */
export interface BaseHost {
  /** The guest's only disk may be there: nobody may open it for another copy. */
  isGuestsDisk: boolean;
  replica: SimulatedReplica | undefined;
}

let hostOf: ((process: Process) => BaseHost) | undefined;

export function useBases(find: (process: Process) => BaseHost): void {
  hostOf = find;
}

const MIB = 1024 * 1024;
const NO_COUNTS = { committedPages: 1, droppedPages: 1, unflushedWrites: 0 };

export class SimulatedReplica {
  readonly uuid = randomUUID();
  readonly exports = [];
  readonly disks = [];
  readonly memory = { softBytes: MIB, hardBytes: 2 * MIB, onFull: 'slow', spillBytes: 0 };
  readonly bufferBytes = { primary: 0, secondary: 0, committed: 0 };
  readonly spilledBytes = 0;
  readonly slowedWrites = 0;
  /** No data is simulated, so nobody makes a backup. */
  readonly snapshots = { view: undefined };
  readonly areWritesHeld = false;
  readonly isLastCommitKept = true;
  /** No request ever waits here: guests of this world write elsewhere. */
  readonly gate = {
    ...{ isClosed: false, waiting: 0 },
    ...{ close: () => this.#gate(true), open: () => this.#gate(false) },
  };
  readonly link = { isConnected: false, loss: undefined as string | undefined, lossWasClean: true };
  state: ReplicaState = 'seeding';
  reason = 'waiting for the first copy';
  epoch = 0;
  isOutdated = false;
  readonly #listeners = new Set<(event: ReplicaEvent) => void>();

  constructor(
    private readonly host: BaseHost,
    /** The daemon that it is a part of. */
    private readonly process: Process,
  ) {}

  get isWaiting(): boolean {
    return this.state === 'protected' && this.link.loss !== undefined;
  }

  on(listener: (event: ReplicaEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The primary's writes come in, or come no more. */
  connected(): void {
    this.link.isConnected = true;
    this.link.loss = undefined;
  }

  lost(reason: string): void {
    currentScheduler().after(this.process, 0, () => this.#lose(reason));
  }

  #lose(reason: string): void {
    if (!this.link.isConnected) return;
    this.link.isConnected = false;
    if (this.state !== 'seeding') this.link.loss ??= reason;
    if (this.state === 'protected') this.#emit({ kind: 'link-lost', reason });
  }

  commit(): object {
    if (this.state === 'seeding') this.#setState('protected', 'COLO has started');
    if (this.state !== 'protected') throw new Error(`no commit: ${this.state}`);
    return { epoch: ++this.epoch, ...NO_COUNTS };
  }

  failOver(): object {
    if (this.state !== 'protected') throw new Error(`no failover: ${this.state}`);
    this.host.isGuestsDisk = true;
    this.#setState('failed-over', 'the secondary VM has taken over');
    return { epoch: ++this.epoch, ...NO_COUNTS };
  }

  diverge(reason: string): void {
    if (this.state === 'seeding' || this.state === 'protected') this.#setState('diverged', reason);
  }

  outdate(reason: string): void {
    this.isOutdated = true;
    this.diverge(reason);
  }

  settle(): Promise<void> {
    if (this.state === 'failed-over') this.#setState('retired', 'the guest has its local disks');
    return Promise.resolve();
  }

  lastCommitKept(): Promise<void> {
    return this.isOutdated ? Promise.reject(new Error('outdated')) : Promise.resolve();
  }

  nextBatch(): undefined {
    return undefined;
  }

  secondaryRuns(): void {
    // Nothing waits for memory here.
  }

  answerHeld(): void {
    // Nothing waits for memory here.
  }

  leave(): void {
    // Nothing is claimed of the bases here.
  }

  failoverDurable(): Promise<void> {
    return Promise.resolve();
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  catchUp(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #gate(isClosed: boolean): void {
    this.gate.isClosed = isClosed;
  }

  #setState(to: ReplicaState, reason: string): void {
    const from = this.state;
    this.state = to;
    this.reason = reason;
    this.#emit({ kind: 'state', from, to, reason });
  }

  #emit(event: ReplicaEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** In place of the daemon's: refuses, as that does, a base that may be the guest's only disk. */
export function openReplica(): Promise<object> {
  const process = currentProcess();
  const host = hostOf?.(process);
  if (!host) throw new Error('no simulation runs');
  if (host.isGuestsDisk) return Promise.reject(new Error('the base may be the only copy'));
  const replica = new SimulatedReplica(host, process);
  host.replica = replica;
  return Promise.resolve({ replica, lock: { release: () => Promise.resolve() } });
}

export class NbdServer {
  readonly connections = [];

  listen(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The lock of a term file: a host has one daemon at a time here. */
export const lockFile = (): Promise<boolean> => Promise.resolve(true);
