/**
 * What the engines need from outside. They do no I/O of their own: everything comes through these
 * ports, so that a simulation can stand behind each of them.
 */
import type { PageSet } from './page-set.js';

/** One side's VM. */
export interface GuestPort {
  /**
   * Stops the guest. Resolves when no request of its disks is under way and they are flushed.
   * Harmless if it is stopped.
   */
  pause(): Promise<void>;
  /** Lets it run. Harmless if it runs. */
  resume(): Promise<void>;
  /** The state of the processors and devices of a paused guest, without its RAM. */
  saveDevices(): Promise<Uint8Array>;
  /**
   * Replaces the state of the processors and devices of a paused guest. Loading a device may read
   * RAM (virtio reads its rings), so RAM must be there before.
   */
  loadDevices(state: Uint8Array): Promise<void>;
  /**
   * Of the primary's guest: why nobody is to go on from what was saved of it since pause().
   * Undefined if that counts. After resume() it says whether the guest stood still until then.
   */
  spoilt?(): Spoilt | undefined;
}

/** Why a checkpoint does not count. */
export interface Spoilt {
  readonly reason: string;
  /** The guest has run since it was paused, so its disks may have later writes. */
  readonly hasRun: boolean;
}

/** One side's RAM, in pages that are numbered from 0. */
export interface RamPort {
  readonly pageBytes: number;
  readonly pages: number;
  /**
   * The pages that something other than write() has changed since the last call. The first call
   * compares with zeroes. While the guest runs, a page that changes during the call is reported by
   * this call or by the next one.
   *
   * @param isPaused whether the guest stands still: then less has to be looked at
   */
  refresh(isPaused: boolean): Promise<PageSet>;
  /** Contents of these pages at the last refresh() or write(), one after another. */
  read(pages: Uint32Array): Promise<Uint8Array>;
  /** Replaces these pages. The guest must be paused. */
  write(pages: Uint32Array, data: Uint8Array): Promise<void>;
}

/** The replica of the disks, on the secondary's host. */
export interface DisksPort {
  /**
   * What the primary has written becomes the state of both sides; what the secondary has written is
   * dropped. Both guests are paused and have no request under way.
   */
  commit(): void | Promise<void>;
  /** Why an engine that goes on later cannot count on it; undefined if it can. */
  whyNotResume?(): string | undefined;
  /** The secondary takes over: what the primary has written since the last commit is dropped. */
  failOver(): void | Promise<void>;
}

/** What the primary sends to the world, if it is held until a checkpoint. */
export interface OutputPort {
  /** Lets go what was held so far. What comes later is held again. */
  release(): Promise<void>;
}

/** Time in milliseconds, monotonic. */
export interface EngineClock {
  now(): number;
}
