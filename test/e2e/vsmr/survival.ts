import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { VsmrPair } from '@gannet/lab';

/** Milliseconds after the last checkpoint, within which the primary is killed. */
const KILL_WITHIN_MS = 300;

/** Checkpoints while both guests work. */
export async function makeCheckpoints(pair: VsmrPair, count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    const report = await pair.engines.primary.checkpoint();
    process.stderr.write(`${JSON.stringify(report)}\n`);
    await sleep(200);
  }
}

/** Kills the primary between two checkpoints. */
export async function killAndTakeOver(pair: VsmrPair): Promise<void> {
  const seed = Number(process.env['GANNET_SEED'] ?? randomInt(1, 1_000_000));
  process.stderr.write(`GANNET_SEED=${seed} replays the moment of the kill\n`);
  await sleep(seed % KILL_WITHIN_MS);
  await pair.killPrimary();
  await expectSurvival(pair);
}

/** The primary is dead: the secondary takes over and works, and its disks are what it remembers. */
export async function expectSurvival(pair: VsmrPair): Promise<void> {
  await pair.takeOver();
  const writesAtTakeover = pair.secondary.vm.oracle.writes;
  await sleep(1000);
  const { digests, isClean } = await pair.compare();

  for (const { oracle } of [pair.primary.vm, pair.secondary.vm]) {
    expect(oracle.mismatches).toEqual([]);
    expect(oracle.errors).toEqual([]);
  }
  expect(isClean).toBe(true);
  expect(pair.secondary.vm.oracle.writes).toBeGreaterThan(writesAtTakeover);
  expect(digests).toHaveLength(pair.regions);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
}
