import type { DiskLink, PrimaryDriver, SeedProgress, StartOptions } from '@gannet/qmp-driver';
import { type Engine, type PrimaryConfig, type Reporter, type SeedsView } from '@gannet/contract';
import { asUpdate } from '../../inspect/disk-links.js';
import type { History } from '../history.js';
import type { CopyPlan, Resync } from '../resync/resync.js';
import { SeedMeter } from './seed-meter.js';

export interface SeedStageOptions {
  readonly driver: PrimaryDriver;
  readonly config: PrimaryConfig;
  readonly links: readonly DiskLink[];
  /** Speed limit in place of the configured one, for each disk; 0 for none. */
  readonly bytesPerSec: number | undefined;
  readonly progress: Reporter<'protect'>;
  readonly history: History;
  readonly resync: Pick<Resync, 'update' | 'updateFailed'>;
  readonly plan: CopyPlan;
}

/** The copying of a VM's disks, while it is under way. */
export class SeedStage {
  readonly #meter = new SeedMeter();
  readonly #down = new Set<string>();
  readonly #silent = new AbortController();
  #bytesPerSec: number;

  constructor(private readonly options: SeedStageOptions) {
    const { bytesPerSec, config } = options;
    this.#bytesPerSec = bytesPerSec ?? config.primary.seedBytesPerSec ?? 0;
  }

  get view(): SeedsView {
    return this.#meter.view;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { driver, config, links, plan, resync } = this.options;
    const { track } = plan;
    const common = {
      ...{ signal, linkTimeoutMs: config.primary.seedLinkTimeoutMs },
      linkStallMs: config.peer.highMs,
    };
    const report = (seed: SeedProgress): void => this.#report(seed);
    if (!track) {
      const limit = this.#bytesPerSec;
      const speed = limit > 0 ? { speedBytesPerSec: limit } : {};
      return driver.seed(links, { ...common, ...speed, onProgress: report });
    }
    const update = {
      ...common,
      // Its mirrors have nothing to copy: all that they tell is whether they are connected.
      onProgress: ({ device, down }: SeedProgress) => this.#noteLink(device, down !== undefined),
      alongside: (ended: AbortSignal) =>
        resync.update(track, {
          signal: AbortSignal.any([ended, this.#silent.signal]),
          bytesPerSec: () => this.#bytesPerSec,
          onProgress: report,
        }),
    };
    await driver.seed(links.map(asUpdate), update).catch((error: unknown) => {
      resync.updateFailed();
      throw error;
    });
  }

  setRate(bytesPerSec: number): Promise<void> {
    this.#bytesPerSec = bytesPerSec;
    return this.options.driver.setSeedSpeed(bytesPerSec);
  }

  /** The replicator's host is silent: no write of the guest must wait for it. */
  cut(): Promise<void> {
    this.#silent.abort(new Error('the secondary is silent'));
    return this.options.driver.cutSeeds();
  }

  #report(seed: SeedProgress): void {
    const { device, down } = seed;
    this.#noteLink(device, down !== undefined);
    const disk = this.#meter.update(seed);
    this.options.progress({ stage: 'seed', device, ...disk, all: this.#meter.view });
  }

  #noteLink(device: string, isDown: boolean): void {
    if (isDown === this.#down.has(device)) return;
    if (isDown) this.#down.add(device);
    else this.#down.delete(device);
    this.options.history.add(isDown ? 'seed-link-lost' : 'seed-link-back', { device });
  }
}

/** Of the guest's memory, which goes over after the disks. */
export function memoryTo(
  progress: SeedStageOptions['progress'],
  stage: Engine,
): Pick<StartOptions, 'onProgress'> {
  return {
    onProgress: (doneBytes, totalBytes) => progress({ stage, doneBytes, totalBytes }),
  };
}
