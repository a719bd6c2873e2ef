import type { FailoverReport } from '@gannet/contract';

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

export interface DemoResult extends DemoMeasured {
  /** What did not hold; empty when the verdict does. */
  readonly faults: readonly string[];
}

/** Everything that must hold, and did not. */
export function judge(measured: DemoMeasured, checkpointsWanted: number): string[] {
  const { guestWrites } = measured;
  const conditions: readonly [holds: boolean, fault: string][] = [
    [measured.checkpoints >= checkpointsWanted, 'too few checkpoints'],
    [measured.mismatches === 0, `${measured.mismatches} mismatches of disk and memory`],
    [measured.ioErrors === 0, `${measured.ioErrors} I/O errors in the guests`],
    [measured.primaryClean, "the primary's guest found something wrong"],
    [measured.secondaryClean, "the secondary's guest found something wrong"],
    [guestWrites.secondaryAtEnd > guestWrites.secondaryAtFailover, 'the secondary did not go on'],
    [measured.regions > 0, 'nothing was compared'],
    [measured.regionsEqual === measured.regions, 'the image is not what the guest says'],
  ];
  return conditions.filter(([holds]) => !holds).map(([, fault]) => fault);
}
