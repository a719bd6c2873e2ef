/** What a comparison needs of both sides; a test puts others in their place. */

/** A range of one disk, in bytes. */
export interface Chunk {
  readonly disk: string;
  readonly offset: number;
  readonly length: number;
}

/** The primary's own disk. */
export interface OwnDisk {
  readonly name: string;
  readonly sizeBytes: number;
  read(offset: number, target: Buffer): Promise<void>;
  /** Whether the range is known to be zeros without reading it. */
  isZero(offset: number, length: number): Promise<boolean>;
}

/** What the replica holds of a range, and what has arrived there since watch(). */
export interface ReplicaDigests {
  readonly epoch: number;
  readonly digests: readonly string[];
  readonly arrived: readonly (readonly [start: number, end: number])[];
}

/** The replica, as the primary can ask about it. */
export interface AskedReplica {
  /** Notes what arrives in these ranges from now on. @returns the last committed epoch */
  watch(ranges: readonly Chunk[]): Promise<number>;
  digests(range: Chunk, grainBytes: number): Promise<ReplicaDigests>;
  /** Writes `data`, but for what has arrived since watch(). */
  repair(disk: string, offset: number, data: Buffer): Promise<void>;
}
