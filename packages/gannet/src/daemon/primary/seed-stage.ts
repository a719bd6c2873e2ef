import type { DiskLink, PrimaryDriver, StartOptions } from '@gannet/qmp-driver';
import { type Engine, type PrimaryConfig, type Reporter, type SeedsView } from '@gannet/contract';
import type { History } from '../history.js';
import { SeedMeter } from './seed-meter.js';

export interface SeedStageOptions {
  readonly driver: PrimaryDriver;
  readonly config: PrimaryConfig;
  readonly links: readonly DiskLink[];
  /** Speed limit in place of the configured one, for each disk; 0 for none. */
  readonly bytesPerSec: number | undefined;
  readonly progress: Reporter<'protect'>;
  readonly history: History;
}

/** The copying of a VM's disks, while it is under way. */
export class SeedStage {
  readonly #meter = new SeedMeter();
  readonly #down = new Set<string>();

  constructor(private readonly options: SeedStageOptions) {}

  get view(): SeedsView {
    return this.#meter.view;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { driver, config, links, progress, bytesPerSec } = this.options;
    const limit = bytesPerSec ?? config.primary.seedBytesPerSec ?? 0;
    await driver.seed(links, {
      signal,
      linkTimeoutMs: config.primary.seedLinkTimeoutMs,
      linkStallMs: config.peer.highMs,
      onProgress: (seed) => {
        const { device, down } = seed;
        this.#noteLink(device, down !== undefined);
        const disk = this.#meter.update(seed);
        progress({ stage: 'seed', device, ...disk, all: this.#meter.view });
      },
      ...(limit > 0 ? { speedBytesPerSec: limit } : {}),
    });
  }

  setRate(bytesPerSec: number): Promise<void> {
    return this.options.driver.setSeedSpeed(bytesPerSec);
  }

  /** The replicator's host is silent: no write of the guest must wait for it. */
  cut(): Promise<void> {
    return this.options.driver.cutSeeds();
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
