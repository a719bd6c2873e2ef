/** What a run has done, and how it has ended. */
export interface Outcome {
  readonly turns: number;
  readonly simulatedMs: number;
  readonly checkpoints: number;
  readonly reads: number;
  readonly writes: number;
  readonly endState: string;
  /** The most that was in the spill file at once. */
  readonly spilledBytes: number;
  /** How often the secondary had to wait for memory, without its primary. */
  readonly holds: number;
  /** The known gap of provisional commits: docs/explanation/architecture.md, "The gate". */
  readonly isResidual: boolean;
}
