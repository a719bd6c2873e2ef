// The two copies of a VM, and who of them may run: what each host's term file says, and what the
// code that ships concludes from it.

import type { PeerStatus, TermRecord } from '@gannet/contract';
import { compare } from '#daemon/arbitration/compare.js';
import { letGoStep, type LetGoView } from '#daemon/arbitration/may-let-go.js';
import {
  automaticStep,
  evidenceIn,
  type FailoverPolicy,
  isFenceProof,
  mayJoin,
  type PairView,
  unfitness,
} from '#daemon/arbitration/may-take-over.js';
import { ON_ATTACH } from '#daemon/arbitration/on-attach.js';
import {
  alone,
  BLANK,
  emptied,
  inStep,
  leaving,
  type NextRecord,
  opened,
  outdatedBy,
  succeeding,
  takenOver,
} from '#daemon/arbitration/records.js';
import type { Assumptions } from './assumptions.js';

const AT = new Date(0).toISOString();

/** Something that must never be. */
export class Broken extends Error {}

/**
 * - `seeding`: it runs, and its new copy is not complete
 * - `alone`: it runs, and has no second copy
 * - `taking-over`: its primary's host is lost, and its secondary does not run yet
 * - `down`: nobody may run it before a host comes back
 */
export type Phase = 'protected' | 'seeding' | 'alone' | 'taking-over' | 'down';

/** How a primary let its secondary go: what it took, in seconds, and whether it could. */
interface LettingGo {
  readonly seconds: number;
  readonly needsFence: boolean;
}

export class Pair {
  /** Where it was first. */
  readonly home: number;
  phase: Phase = 'alone';
  secondary: number | undefined;
  /** By the index of the host: what is on its disk. */
  readonly #records = new Map<number, TermRecord>();
  /** The host that has a complete copy beside the one that runs. */
  #complete: number | undefined;
  /** The host that may have taken over from a primary that is down. */
  #other: number | undefined;

  constructor(
    readonly id: number,
    readonly memoryGiB: number,
    readonly diskGiB: number,
    readonly writeRate: number,
    /** The host that runs it, or ran it last. */
    public primary: number,
  ) {
    this.home = primary;
  }

  recordOf(host: number): TermRecord {
    return this.#records.get(host) ?? BLANK;
  }

  /** A seed begins: what the new secondary's host had of this VM is overwritten. */
  beginSeed(host: number): void {
    this.#expect(this.phase === 'alone', `is seeded while it is ${this.phase}`);
    const old = this.recordOf(host);
    this.#write(host, emptied(old, false));
    const own = this.recordOf(this.primary);
    this.#write(this.primary, opened(own, this.recordOf(host), `vm ${this.id}`));
    this.secondary = host;
    this.phase = 'seeding';
  }

  /** The first checkpoint is done. */
  endSeed(): void {
    const host = this.secondary;
    if (host === undefined) throw new Broken(`VM ${this.id} has no secondary`);
    this.#complete = host;
    const joined = mayJoin(this.#viewOf(host, 'up', 'protecting', 0, 0));
    if (joined === undefined || joined === 'own') throw new Broken(`VM ${this.id} can't join`);
    this.#write(host, inStep(joined));
    this.#write(this.primary, inStep(this.recordOf(this.primary), true));
    this.phase = 'protected';
  }

  /** The secondary's host is lost, or its copy is given up. */
  loseSecondary(isFenced: boolean, assumptions: Assumptions): LettingGo {
    const lost = this.secondary;
    const wasProtected = this.phase === 'protected';
    this.secondary = undefined;
    if (lost === this.#complete) this.#complete = undefined;
    this.phase = 'alone';
    if (!wasProtected) return { seconds: 0, needsFence: false };
    return this.#letGo(isFenced, assumptions);
  }

  #letGo(isFenced: boolean, { lowMs, highMs }: Assumptions): LettingGo {
    let seconds = highMs / 1000;
    let needsFence = false;
    let view: LetGoView = {
      ...{ hasYielded: false, isHeard: false, wasTold: false, isForced: false, mustTell: false },
      ...{ fence: 'ready', isHeld: false },
      own: this.recordOf(this.primary),
    };
    for (;;) {
      const step = letGoStep(view);
      switch (step.kind) {
        case 'raise':
          this.#write(this.primary, leaving(view.own));
          view = { ...view, own: this.recordOf(this.primary) };
          break;
        case 'tell':
          seconds += lowMs / 1000;
          view = { ...view, wasTold: true };
          break;
        case 'fence':
          needsFence = true;
          view = { ...view, fence: isFenced ? 'succeeded' : 'failed' };
          break;
        case 'go':
          this.#write(this.primary, alone(view.own, step.evidence));
          return { seconds, needsFence };
        case 'refuse':
          throw new Broken(`VM ${this.id} stands still: ${step.why}`);
      }
    }
  }

  /** The host that runs it is lost. Its secondary, if it has one, is asked to take over. */
  losePrimary(): void {
    this.phase = this.secondary === undefined ? 'down' : 'taking-over';
    this.#other = this.secondary;
  }

  /** Its secondary may not take over, or its host is lost too. */
  giveUp(): void {
    if (this.secondary === this.#complete) this.#complete = undefined;
    this.secondary = undefined;
    this.phase = 'down';
  }

  /** Seconds before a daemon without Pacemaker has a dead host fenced. */
  patience({ highMs, periodMs }: Assumptions): number {
    const host = this.secondary;
    if (host === undefined) return Infinity;
    const policy: FailoverPolicy = {
      ...{ isAutomatic: true, hasFence: true, fenceDelayMs: 0 },
      ...{ highMs, periodMs },
    };
    // It counts as lost after highMs of silence.
    let silentMs = highMs;
    for (;;) {
      const step = automaticStep(
        this.#viewOf(host, 'lost', 'protected', silentMs, silentMs),
        policy,
      );
      if (step.kind === 'fail-over') return silentMs / 1000;
      if (step.kind === 'none') return Infinity;
      silentMs += step.ms;
    }
  }

  /**
   * Pacemaker calls promote: the other host was fenced, or its guest was stopped for it.
   *
   * @returns whether it runs here now
   * @throws Broken if it runs on a copy that is not complete
   */
  promote(evidence: 'fence' | 'word'): boolean {
    const host = this.secondary;
    if (host === undefined || this.phase !== 'taking-over') return false;
    const isStopped = evidence === 'word';
    const said = isStopped ? 'yielding' : 'protected';
    const view = this.#viewOf(host, isStopped ? 'up' : 'lost', said, 0, 0);
    if (unfitness(view) !== undefined) return false;
    if (isStopped ? evidenceIn(view)?.kind !== 'word' : !isFenceProof(view)) return false;
    this.#expect(this.#complete === host, 'has taken over on an incomplete copy');
    this.#write(host, takenOver(view.own, evidence));
    this.#complete = undefined;
    this.primary = host;
    this.secondary = undefined;
    this.phase = 'alone';
    return true;
  }

  /**
   * A host is back, with its disks: what its daemon makes of the copy there.
   *
   * @returns whether the VM runs now, and did not before
   */
  hostReturns(host: number, isUp: (host: number) => boolean): boolean {
    if (this.phase === 'taking-over') return false;
    if (this.phase !== 'down') {
      this.#yieldOn(host);
      return false;
    }
    // A secondary's daemon that begins has lost what its replica held in memory.
    if (host === this.#other) this.#write(host, emptied(this.recordOf(host), false));
    if (!isUp(this.primary)) return false;
    const own = this.recordOf(this.primary);
    const isOtherHeard = this.#other !== undefined && isUp(this.#other);
    const mayRun =
      ON_ATTACH[own.word].idle === 'run' ||
      (isOtherHeard && compare('primary', own, this.recordOf(this.#other as number)) === 'yielded');
    if (mayRun) this.phase = 'alone';
    return mayRun;
  }

  /** Beside a copy that runs, an older one yields. */
  #yieldOn(host: number): void {
    const own = this.recordOf(host);
    if (host === this.primary || own.word === 'none' || own.word === 'outdated') return;
    const other = this.recordOf(this.primary);
    const standing = compare('primary', own, other);
    this.#expect(standing === 'yield', `comes back beside the copy that runs: ${standing}`);
    this.#write(host, outdatedBy(own, other));
  }

  /** The newest copy is the one that runs, wherever an older one is. */
  check(): void {
    if (this.phase === 'down' || this.phase === 'taking-over') return;
    const { term, word } = this.recordOf(this.primary);
    for (const [host, record] of this.#records) {
      if (host === this.primary || record.word === 'outdated') continue;
      this.#expect(record.term <= term, `runs in term ${term}, ${word}; host ${host} has a newer`);
    }
  }

  #viewOf(
    host: number,
    liveness: 'up' | 'lost',
    state: 'protecting' | 'protected' | 'yielding',
    silentMs: number,
    commitAgeMs: number,
  ): PairView {
    const status: PeerStatus = {
      ...{ role: 'primary', state, epoch: 1, vm: 'ready' },
      record: this.recordOf(this.primary),
    };
    const isFit = this.#complete === host;
    return {
      vm: `vm${this.id}`,
      own: this.recordOf(host),
      replica: { state: isFit ? 'protected' : 'seeding', reason: 'first copy', loss: undefined },
      ...{ doubt: undefined, ownVm: 'ready', coloExit: undefined },
      peer: { liveness, status, silentMs },
      commitAgeMs,
    };
  }

  #write(host: number, next: NextRecord | undefined): void {
    if (next) this.#records.set(host, succeeding(this.recordOf(host), next, AT));
  }

  #expect(isSo: boolean, what: string): void {
    if (!isSo) throw new Broken(`VM ${this.id} ${what}`);
  }
}
