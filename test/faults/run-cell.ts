import { performance } from 'node:perf_hooks';
import type { Cell, Outcome } from './cells.js';
import { observe, VERIFY } from './outcomes.js';
import { PhaseMissed, REACH } from './phases.js';
import { Scene } from './scene.js';
import { strike } from './strike.js';

export interface CellResult {
  readonly passed: boolean;
  /** What came of it; undefined when that did not become clear. */
  readonly outcome?: Outcome;
  /** What did not hold. */
  readonly fault?: string;
  readonly seconds: number;
}

/** To get into a phase. */
const TRIES = 3;

const current = new Set<Scene>();

/** Leaves nothing behind of cells that are being run. */
export async function abandon(): Promise<void> {
  await Promise.all([...current].map((scene) => scene.close()));
}

/**
 * Runs one cell: reaches the phase, strikes, sees what comes of it, and has the guest's oracle
 * judge.
 */
export async function runCell(cell: Cell, seed: number): Promise<CellResult> {
  const startMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startMs) / 100) / 10;
  for (let tries = 1; ; tries++) {
    try {
      return { passed: true, outcome: await attempt(cell, seed + tries - 1), seconds: seconds() };
    } catch (error) {
      if (error instanceof PhaseMissed && tries < TRIES) continue;
      const fault = error instanceof Error ? error.message : String(error);
      const outcome = error instanceof Unexpected ? { outcome: error.outcome } : {};
      return { passed: false, ...outcome, fault, seconds: seconds() };
    }
  }
}

async function attempt(cell: Cell, seed: number): Promise<Outcome> {
  const scene = await Scene.open(cell, seed);
  current.add(scene);
  const { hosts } = scene;
  try {
    await hosts.start();
    await REACH[cell.phase](scene);
    await strike(scene);
    const outcome = await observe(scene);
    if (!cell.expected.includes(outcome)) {
      const message = `${outcome}, not ${cell.expected.join(' or ')}\n${scene.logs}`;
      throw new Unexpected(message, outcome);
    }
    await VERIFY[outcome](scene).catch((error: unknown) => {
      throw new Unexpected(`${String(error)}\n${scene.logs}`, outcome);
    });
    const isOverruled = outcome === 'overruled';
    if (hosts.bothRan !== undefined && !isOverruled)
      throw new Unexpected('two guests ran on their own', outcome);
    return outcome;
  } finally {
    current.delete(scene);
    await scene.close();
  }
}

class Unexpected extends Error {
  constructor(
    message: string,
    readonly outcome: Outcome,
  ) {
    super(message);
  }
}
