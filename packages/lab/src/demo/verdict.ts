import type { FailoverReport } from '@gannet/contract';

/** What the demonstration measured. */
export interface DemoMeasured {
  readonly seed: number;
  readonly checkpoints: number;
  readonly gateClosedMs: { readonly median: number; readonly p99: number };
  readonly killToResumeMs: number;
  readonly killToFirstWriteMs: number;
  readonly failover: FailoverReport;
  readonly guestWrites: {
    readonly primaryAtKill: number;
    readonly secondaryAtFailover: number;
    readonly secondaryAtEnd: number;
  };
  readonly mismatches: number;
  readonly ioErrors: number;
  readonly primaryClean: boolean;
  readonly secondaryClean: boolean;
  readonly regions: number;
  readonly regionsEqual: number;
}

/** The measurements and the verdict. */
export interface DemoResult extends DemoMeasured {
  /** Conditions that did not hold; empty if the demonstration passed. */
  readonly faults: readonly string[];
}

/** The conditions that did not hold. */
export function judge(measured: DemoMeasured, checkpointsWanted: number): string[] {
  const { guestWrites } = measured;
  const conditions: readonly [holds: boolean, fault: string][] = [
    [measured.checkpoints >= checkpointsWanted, 'too few checkpoints'],
    [measured.mismatches === 0, `${measured.mismatches} mismatches between disk and memory`],
    [measured.ioErrors === 0, `${measured.ioErrors} I/O errors in the guests`],
    [measured.primaryClean, "the primary's guest found something wrong"],
    [measured.secondaryClean, "the secondary's guest found something wrong"],
    [
      guestWrites.secondaryAtEnd > guestWrites.secondaryAtFailover,
      'the secondary did not continue',
    ],
    [measured.regions > 0, 'nothing was compared'],
    [
      measured.regionsEqual === measured.regions,
      'the base image differs from what the guest wrote',
    ],
  ];
  return conditions.filter(([holds]) => !holds).map(([, fault]) => fault);
}
