// Bounds how fast one network address may open connections, so that a stranger who does nothing else costs little.

import { isIPv6 } from 'node:net';

/** Addresses that are remembered; beyond, those that were heard of least recently are forgotten. */
const ADDRESSES_MAX = 4096;

export interface AcceptRateLimits {
  /** At once. */
  readonly acceptBurst: number;
  /** From then on. */
  readonly acceptsPerSecond: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket for each address. */
export class AcceptRateLimiter {
  /** Least recently heard of first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(
    private readonly limits: AcceptRateLimits,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Whether one more connection from there may come in now. */
  tryAccept(address: string): boolean {
    const { acceptBurst, acceptsPerSecond } = this.limits;
    const nowMs = this.nowMs();
    const bucket = this.#buckets.get(address) ?? { tokens: acceptBurst, atMs: nowMs };
    const earned = ((nowMs - bucket.atMs) / 1000) * acceptsPerSecond;
    const tokens = Math.min(acceptBurst, bucket.tokens + earned);
    const isAdmitted = tokens >= 1;
    this.#buckets.delete(address);
    this.#buckets.set(address, { tokens: isAdmitted ? tokens - 1 : tokens, atMs: nowMs });
    if (this.#buckets.size > ADDRESSES_MAX) this.#forgetOldest();
    return isAdmitted;
  }

  #forgetOldest(): void {
    for (const address of this.#buckets.keys()) {
      this.#buckets.delete(address);
      return;
    }
  }
}

/** Whom an address stands for: in IPv6 a network of 64 bits is one customer, who has all of its addresses. */
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
