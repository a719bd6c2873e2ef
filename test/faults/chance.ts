import { createHash } from 'node:crypto';

/**
 * Chance that can be had again: the same seed and the same name give the same fraction in [0, 1),
 * in any order.
 */
export function chance(seed: number, name: string): number {
  return createHash('sha256').update(`${seed} ${name}`).digest().readUInt32BE() / 2 ** 32;
}
