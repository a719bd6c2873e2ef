/**
 * What a PrimaryDriver has done, and which of its steps may follow.
 *
 *   idle ──► seeding ──► seeded ──► linked        runAlone() and rollback() lead to `leaving` from
 *     └────── adopt() ─────────────────►          anywhere, and to `idle` when they are done
 */
import { type DriverError, LinkError, SeedError, WaitError } from './errors.js';

export type PrimaryDriverPhase =
  /** It has no disks. */
  | 'idle'
  /** seed() is under way, or has failed. */
  | 'seeding'
  /** All mirrors were READY. */
  | 'seeded'
  /** attach() is done, or the disks were found as an earlier process left them. */
  | 'linked'
  /** Everything is being taken away, or that failed half-way. */
  | 'leaving';

export type PrimaryStep =
  /** A method is called. */
  | 'seed'
  | 'attach'
  | 'adopt'
  | 'start'
  | 'finishSeed'
  | 'leave'
  /** A method has done its work. */
  | 'seeded'
  | 'attached'
  | 'left';

/** A step that is not listed is refused. */
const STEPS: Readonly<
  Record<PrimaryDriverPhase, Readonly<Partial<Record<PrimaryStep, PrimaryDriverPhase>>>>
> = {
  idle: { seed: 'seeding', adopt: 'linked', finishSeed: 'idle', leave: 'leaving' },
  seeding: { seeded: 'seeded', leave: 'leaving' },
  seeded: { attach: 'seeded', attached: 'linked', leave: 'leaving' },
  linked: {
    ...{ attach: 'linked', attached: 'linked', start: 'linked', finishSeed: 'linked' },
    leave: 'leaving',
  },
  leaving: { leave: 'leaving', left: 'idle' },
};

/**
 * The phase that follows a step.
 * @param disks names the disks in the error
 * @throws SeedError `DRIVER_SEED_FAILED`: seed() or adopt() while it has disks
 * @throws LinkError `DRIVER_NOT_SEEDED`: a step before the one that it builds on
 * @throws WaitError `DRIVER_ABORTED`: the disks were let go while the step was under way
 */
export function phaseAfter(
  phase: PrimaryDriverPhase,
  next: PrimaryStep,
  disks: string,
): PrimaryDriverPhase {
  const after = STEPS[phase][next];
  if (after !== undefined) return after;
  throw refused(phase, next, disks);
}

function refused(phase: PrimaryDriverPhase, next: PrimaryStep, disks: string): DriverError {
  switch (next) {
    case 'seed':
    case 'adopt': {
      const message = `this driver already has disks: ${disks}`;
      return new SeedError('DRIVER_SEED_FAILED', message, 'Call runAlone() or rollback() first.');
    }
    case 'seeded':
    case 'attached':
    case 'left': {
      const message = `${disks}: the disks were let go before they were ${next}`;
      return new WaitError('DRIVER_ABORTED', message, 'Start again with seed().');
    }
    default: {
      const needed = next === 'attach' ? 'seeded' : 'attached';
      const message = `${next}() needs disks that are ${needed}, this driver is ${phase}`;
      return new LinkError('DRIVER_NOT_SEEDED', message, 'Call seed() and attach() first.');
    }
  }
}
