// What is copied between hosts, and how fast: the guests' own traffic first, seeds share the rest.

import type { Assumptions } from './assumptions.js';
import type { Pair } from './pair.js';
import { fairRates } from './rates.js';

/** Of a host: its disk, what it receives, what it sends. */
export type Link = 'disk' | 'in' | 'out';
const LINKS: readonly Link[] = ['disk', 'in', 'out'];

interface Route {
  readonly from: number;
  readonly to: number;
  /** Read from the disk of one host and written to that of the other. */
  readonly hasDisk: boolean;
  /** MiB/s. */
  readonly limit: number;
  readonly mib: number;
}

interface Transfer {
  readonly pair: Pair;
  readonly route: Route;
  readonly links: readonly number[];
  readonly done: () => void;
  left: number;
  rate: number;
}

const NOTHING_MIB = 1e-6;

export class Transfers {
  #all: Transfer[] = [];
  readonly #capacity: readonly number[];
  readonly #steady: number[];
  #isStale = false;
  /** Of disks, since the beginning. */
  seeds = 0;
  seedMib = 0;

  constructor(hosts: number, { diskRate, networkRate }: Assumptions) {
    const rates = [diskRate, networkRate, networkRate];
    this.#capacity = Array.from({ length: hosts }, () => rates).flat();
    this.#steady = this.#capacity.map(() => 0);
  }

  /** Of guests, in MiB/s. */
  addSteady(host: number, rate: number, link: Link): void {
    const at = indexOf(host, link);
    this.#steady[at] = (this.#steady[at] ?? 0) + rate;
    this.#isStale = true;
  }

  begin(pair: Pair, route: Route, done: () => void): void {
    const { from, to, hasDisk, mib } = route;
    if (hasDisk) {
      this.seeds++;
      this.seedMib += mib;
    }
    const disks = hasDisk ? [indexOf(from, 'disk'), indexOf(to, 'disk')] : [];
    const links = [...disks, indexOf(from, 'out'), indexOf(to, 'in')];
    this.#all.push({ pair, route, links, done, left: mib, rate: 0 });
    this.#isStale = true;
  }

  /** Nothing of this VM is copied any more. */
  end(pair: Pair): void {
    this.#all = this.#all.filter((one) => one.pair !== pair);
    this.#isStale = true;
  }

  countOf(host: number, link: 'in' | 'out'): number {
    return this.#all.filter(({ route }) => (link === 'in' ? route.to : route.from) === host).length;
  }

  /** A share of the capacity. */
  loadOf(host: number, link: Link): number {
    this.#share();
    const at = indexOf(host, link);
    const copied = this.#all.reduce((sum, { links, rate }) => {
      return links.includes(at) ? sum + rate : sum;
    }, 0);
    return (copied + (this.#steady[at] ?? 0)) / (this.#capacity[at] ?? 1);
  }

  /** Seconds until one of them ends. */
  nextIn(): number {
    this.#share();
    return Math.min(Infinity, ...this.#all.map(({ left, rate }) => Math.max(0, left) / rate));
  }

  advance(seconds: number): void {
    if (seconds <= 0) return;
    this.#share();
    for (const one of this.#all) one.left -= one.rate * seconds;
  }

  /** Those that have ended go on as their owner wants. */
  finish(): void {
    const soonest = this.nextIn();
    const ended = this.#all.filter(({ left, rate }) => {
      return left / rate <= soonest || left <= NOTHING_MIB;
    });
    this.#all = this.#all.filter((one) => !ended.includes(one));
    this.#isStale = true;
    for (const { done } of ended) done();
  }

  #share(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    const free = this.#capacity.map((rate, at) => rate - (this.#steady[at] ?? 0));
    const flows = this.#all.map(({ route, links }) => ({ limit: route.limit, links }));
    const rates = fairRates(flows, free);
    this.#all.forEach((one, at) => (one.rate = rates[at] ?? 0));
  }
}

function indexOf(host: number, link: Link): number {
  return host * LINKS.length + LINKS.indexOf(link);
}
