/**
 * Limits how fast one network address may open connections, so that such a client costs little.
 */

import { isIPv6 } from 'node:net';

/** Addresses that are remembered. For one more, the least recently used one is forgotten. */
const ADDRESSES_MAX = 4096;

/** How fast one address may connect. */
export interface AcceptRateLimits {
  /** New connections at once. */
  readonly acceptBurst: number;
  /** New connections per second after that. */
  readonly acceptsPerSecond: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** One token bucket per address. */
export class AcceptRateLimiter {
  /** Least recently used first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(
    private readonly limits: AcceptRateLimits,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Takes a token for one more connection. @returns false if there is none: refuse it */
  tryAccept(address: string): boolean {
    const { acceptBurst, acceptsPerSecond } = this.limits;
    const nowMs = this.nowMs();
    const bucket = this.#buckets.get(address) ?? { tokens: acceptBurst, atMs: nowMs };
    const earned = ((nowMs - bucket.atMs) / 1000) * acceptsPerSecond;
    const tokens = Math.min(acceptBurst, bucket.tokens + earned);
    const isAccepted = tokens >= 1;
    this.#buckets.delete(address);
    this.#buckets.set(address, { tokens: isAccepted ? tokens - 1 : tokens, atMs: nowMs });
    if (this.#buckets.size > ADDRESSES_MAX) this.#forgetOldest();
    return isAccepted;
  }

  #forgetOldest(): void {
    for (const address of this.#buckets.keys()) {
      this.#buckets.delete(address);
      return;
    }
  }
}

/** The address itself, or for IPv6 its /64 network: one customer has all addresses of it. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return groups.slice(0, 4).join(':');
}
