import { setTimeout as sleep } from 'node:timers/promises';
import { LabError, type LabGuest, LabPair } from '@gannet/lab';

const PERIOD_MS = 1000;
const PATIENCE_MS = 60_000;

/** What is done to a protected pair, and mended again. */
export const EVENTS = [
  'the primary VM is killed: fail over, compare all, protect the survivor again',
  'the secondary VM is killed: run on alone, protect again',
  'the secondary daemon is killed: run on alone, protect again',
  'the primary daemon is killed: its next one finds the protection',
] as const;
export type SoakEvent = (typeof EVENTS)[number];

export interface SoakCounts {
  commits: number;
  kills: number;
  failovers: number;
  reprotects: number;
  regionsCompared: number;
  guestWrites: number;
}

/**
 * A pair that is hurt and protected again, for as long as wanted. It throws when something is not
 * as it must be.
 */
export class SoakPair {
  /** Of secondary daemons that are no more. */
  #pastCommits = 0;
  /** There is no secondary at the moment. */
  #isBetween = false;
  readonly #counts = { kills: 0, failovers: 0, reprotects: 0, regionsCompared: 0 };

  private constructor(readonly pair: LabPair) {}

  static async start(guest: LabGuest, thinkUs: number): Promise<SoakPair> {
    const pair = await LabPair.create({ guest, periodMs: PERIOD_MS, thinkUs });
    try {
      await pair.startProtected(2);
    } catch (error) {
      await pair.dispose();
      throw error;
    }
    return new SoakPair(pair);
  }

  get counts(): SoakCounts {
    const { pair } = this;
    return {
      ...this.#counts,
      commits: this.#pastCommits + (this.#isBetween ? 0 : pair.commits.length),
      // The guest counts in its memory, which a survivor goes on with.
      guestWrites: pair.primary.oracle.writes,
    };
  }

  /** @throws LabError when a guest has found something that is not what it wrote */
  expectClean(): void {
    for (const { name, oracle } of [this.pair.primary, this.pair.secondary]) {
      if (!oracle.clean) throw new LabError(`${name}: not clean\n${oracle.tail}`);
    }
  }

  async suffer(event: SoakEvent): Promise<void> {
    this.expectClean();
    this.#counts.kills++;
    switch (event) {
      case EVENTS[0]:
        return this.#failOver();
      case EVENTS[1]:
        await this.pair.secondary.kill('SIGKILL');
        return this.#replaceSecondary();
      case EVENTS[2]:
        await this.pair.secondaryDaemon.kill('SIGKILL');
        return this.#replaceSecondary();
      case EVENTS[3]:
        return this.#restartPrimaryDaemon();
    }
  }

  /** Kills the primary, has its secondary take over, and compares its disk with its memory. */
  async takeOver(): Promise<void> {
    const { pair } = this;
    await pair.primary.kill('SIGKILL');
    await pair.failOver();
    this.#counts.failovers++;
    await pair.secondary.oracle.waitForWrites(50, { signal: pair.secondary.gone });
    const { digests, isClean } = await pair.compare();
    const wrong = digests.filter(({ equal }) => !equal).length;
    if (!isClean || wrong > 0) {
      throw new LabError(`after a failover: ${wrong} regions differ, clean: ${isClean}`);
    }
    this.#counts.regionsCompared += digests.length;
  }

  dispose(): Promise<void> {
    return this.pair.dispose();
  }

  async #failOver(): Promise<void> {
    const { pair } = this;
    await this.takeOver();
    await pair.secondary.command('go');
    this.#secondaryEnds();
    await pair.advance();
    await pair.startSecondary();
    await this.#protectAgain();
  }

  async #replaceSecondary(): Promise<void> {
    const { pair } = this;
    const { primaryDaemon } = pair;
    await until('the primary to be alone', async () => {
      return ((await primaryDaemon.client.call('status')) as { state: string }).state === 'alone';
    });
    this.#secondaryEnds();
    await pair.replaceSecondary();
    await this.#protectAgain();
  }

  #secondaryEnds(): void {
    this.#pastCommits += this.pair.commits.length;
    this.#isBetween = true;
  }

  async #protectAgain(): Promise<void> {
    this.#isBetween = false;
    await this.pair.reprotect();
    this.#counts.reprotects++;
    await this.pair.waitForCommits(2);
  }

  async #restartPrimaryDaemon(): Promise<void> {
    const { pair } = this;
    await pair.primaryDaemon.kill('SIGKILL');
    await pair.startPrimaryDaemon();
    await until('the protection to be found', async () => {
      const status = await pair.primaryDaemon.client.call('status');
      return (status as { state: string }).state === 'protected';
    });
    await pair.waitForCommits(pair.commits.length + 2);
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const startMs = performance.now(); !(await isSo());) {
    if (performance.now() - startMs > PATIENCE_MS)
      throw new LabError(`timed out waiting for ${what}`);
    await sleep(20);
  }
}
