/** What a benchmark consists of, and the rounds in which contenders take turns. */
import { Collector, type Point, type Result } from './result.js';
import type { Scope } from './scope.js';

export interface Context {
  readonly scope: Scope;
  readonly rounds: number;
  /** Short runs, to see that all of it works. */
  readonly quick: boolean;
  /** Points to measure; all by default. */
  readonly only?: RegExp | undefined;
  readonly progress: Progress;
}

export type Outcome = Pick<Result, 'contenders' | 'baseline' | 'points' | 'notes'>;

export interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** With five rounds on two cores. */
  readonly estimateSeconds: number;
  /** Too long to be one of those that run by default. */
  readonly isOnRequest?: boolean;
  run(context: Context): Promise<Outcome>;
}

/** Says how far it is. */
export interface Progress {
  /** How many steps the present comparison has in all. */
  expect(steps: number): void;
  step(what: string): void;
}

export interface Contender<Subject> {
  readonly name: string;
  readonly setup: string;
  readonly subject: Subject;
}

export interface Trial<Subject> {
  readonly point: string;
  readonly unit: string;
  readonly better: Point['better'];
  /** Contenders that it does not concern are left out. */
  readonly isFor?: (name: string) => boolean;
  /** One measurement; round 0 warms up and does not count. */
  measure(subject: Subject, round: number): Promise<number | readonly Reading[]>;
}

/** One of several figures that one measurement gives. */
export interface Reading {
  readonly point: string;
  readonly unit: string;
  readonly better: Point['better'];
  readonly value: number;
}

/**
 * Every trial with every contender in turn, A B C A B C…, after a round that does not count, unless
 * each measurement warms up by itself. A contender that fails in a trial is not measured again in
 * that trial.
 */
export async function takeTurns<Subject>(
  { scope, rounds, quick, only, progress }: Context,
  contenders: readonly Contender<Subject>[],
  allTrials: readonly Trial<Subject>[],
  warmUps = quick ? 0 : 1,
): Promise<Point[]> {
  const collector = new Collector();
  const trials = allTrials.filter(({ point }) => only?.test(point) ?? true);
  const concerned = (trial: Trial<Subject>): Contender<Subject>[] =>
    contenders.filter(({ name }) => trial.isFor?.(name) ?? true);
  const steps = trials.reduce((sum, trial) => sum + concerned(trial).length, 0);
  progress.expect(steps * (rounds + warmUps));
  for (const trial of trials) {
    const { point, unit, better } = trial;
    const how = { unit, better };
    const failed = new Set<string>();
    for (let round = 1 - warmUps; round <= rounds; round++) {
      for (const { name, subject } of concerned(trial)) {
        progress.step(`${point}, ${name}`);
        if (failed.has(name)) continue;
        scope.expectOpen();
        try {
          const value = await trial.measure(subject, round);
          if (round < 1) continue;
          const readings = typeof value === 'number' ? [{ point, ...how, value }] : value;
          for (const reading of readings) collector.add(name, reading);
        } catch (error) {
          scope.expectOpen();
          failed.add(name);
          collector.fail(name, { point, ...how }, messageOf(error));
        }
      }
    }
  }
  return collector.points();
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
