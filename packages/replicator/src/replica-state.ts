/**
 * What a replica is, and with it what its base images are worth (invariant I6).
 *
 *   seeding       half a copy: not usable
 *   protected     the base lags behind memory, and is written in no fixed order: not usable alone
 *   diverged      the same, and no failover will ever make it whole
 *   failed-over   base and journal together are the guest's disk: replay the journal before use
 *   retired       the base alone is the guest's disk
 */
export type ReplicaState = 'seeding' | 'protected' | 'failed-over' | 'retired' | 'diverged';

/** The states that may follow each state. */
export const LEGAL_STEPS: Readonly<Record<ReplicaState, readonly ReplicaState[]>> = {
  seeding: ['protected', 'diverged'],
  protected: ['failed-over', 'diverged'],
  'failed-over': ['retired'],
  retired: [],
  diverged: [],
};

/** Whether a text names a state. */
export function isReplicaState(text: unknown): text is ReplicaState {
  return typeof text === 'string' && Object.hasOwn(LEGAL_STEPS, text);
}

/** The guest has taken over, and may have flushed what is only here. */
export function isGuestsDisk(state: ReplicaState): boolean {
  return state === 'failed-over' || state === 'retired';
}
