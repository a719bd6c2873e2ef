import type { CommitRecord, PeerStatus } from '@gannet/contract';
import type { VmWatch } from '../vm/vm-watch.js';

/** What a secondary's daemon has learnt, beyond the states of its replica, QEMU and peer link. */
export class SecondaryFacts {
  /** Whether its QEMU waits for its primary, or why it can't be used. */
  readiness: 'awaited' | 'ready' | Error = 'awaited';
  /** Why COLO has ended, once it has. */
  coloExit: string | undefined;
  /** Why it is not known whether the last checkpoint was committed. */
  doubt: string | undefined;
  /** Why a base does not take what is written to it, as long as it does not. */
  baseTrouble: string | undefined;
  /** Why what the guest flushes after a failover is not durable, as long as it can't be. */
  flushTrouble: string | undefined;
  /** Why nothing more can be spilled, as long as it can't. */
  spillTrouble: string | undefined;
  /** This daemon is about to end. */
  isLeaving = false;
  lastCommit: CommitRecord | undefined;
  commits = 0;
  /** The epoch that the survivor continues from; the replica counts on, for what it writes. */
  takeoverEpoch: number | undefined;
  #committedMs: number | undefined;
  /** The buffers have passed their soft limit since the last commit. */
  hasMemoryPressure = false;

  committed(record: CommitRecord): void {
    this.lastCommit = record;
    this.#committedMs = performance.now();
    this.commits++;
    this.doubt = undefined;
    this.hasMemoryPressure = false;
  }

  /** Another QEMU is there, and its COLO has not begun. */
  forgetColo(): void {
    this.coloExit = undefined;
    this.doubt = undefined;
  }

  /** undefined before the first commit */
  get commitAgeMs(): number | undefined {
    return this.#committedMs === undefined ? undefined : performance.now() - this.#committedMs;
  }

  vmState(vm: VmWatch): PeerStatus['vm'] {
    if (vm.state !== 'ready') return vm.state;
    return this.readiness instanceof Error ? 'unusable' : this.readiness;
  }

  vmTrouble(vm: VmWatch): string | undefined {
    return this.readiness instanceof Error ? this.readiness.message : vm.trouble;
  }
}
