import { type CheckpointSource, ColoSource } from '@gannet/checkpointer';
import { QmpColoMonitor, type SecondaryDriver } from '@gannet/qmp-driver';
import type { Replica } from '@gannet/replicator';
import type { QmpClient } from 'qemu-qmp-client';
import type { SecondaryConfig } from '@gannet/contract';
import { secondaryLinksOf } from '../../inspect/disk-links.js';
import type { Credentials } from '../../tls/credentials.js';
import { SecondaryVsmr } from '../vsmr/secondary-vsmr.js';

/** What makes the checkpoints of a secondary's QEMU, and lets it take over. */
export interface TakeoverEngine {
  /** What the checkpointer listens to. */
  readonly source: CheckpointSource;
  /** Makes QEMU wait for its primary. */
  prepare(): Promise<void>;
  /** Resolves when the guest runs here. Harmless when repeated. */
  failOver(options: { readonly timeoutMs: number }): Promise<void>;
  /** Cuts the connections of QEMU to the primary out-of-band: it may hang on them. */
  cutLinks(timeoutMs: number): Promise<void>;
  /** Ends everything that is not QEMU's. */
  close(): Promise<void>;
}

export interface TakeoverEngineOptions {
  readonly config: SecondaryConfig;
  readonly credentials: Credentials | undefined;
  readonly replica: Replica;
  /** The primary's engine is connected, after an end or for the first time. */
  readonly onBegin: () => void;
  /** Its connection to the primary has ended, or COLO has. */
  readonly onEnd: (reason: string) => void;
  readonly onTrouble: (error: unknown) => void;
  readonly onRefused: (reason: string, address: string) => void;
}

/** The engine of the configuration, for a QEMU that has just been connected. */
export function takeoverEngineOf(
  qmp: QmpClient,
  driver: SecondaryDriver,
  options: TakeoverEngineOptions,
): TakeoverEngine {
  const { config, credentials } = options;
  const { vm, engine, secondary } = config;
  if (engine === 'colo') return new ColoTakeover(qmp, driver, options);
  const { migrate = '' } = secondary;
  return new SecondaryVsmr(qmp, { ...options, vm, migrate, credentials });
}

/** COLO: QEMU makes checkpoints by itself, and is watched. */
class ColoTakeover implements TakeoverEngine {
  readonly source: ColoSource;
  readonly #unsubscribe: () => void;

  constructor(
    qmp: QmpClient,
    private readonly driver: SecondaryDriver,
    private readonly options: TakeoverEngineOptions,
  ) {
    const monitor = new QmpColoMonitor(qmp);
    this.#unsubscribe = monitor.subscribe((event) => {
      if (event.kind === 'colo-exit') options.onEnd(event.reason);
    });
    this.source = new ColoSource(monitor, {
      isHolding: () => options.replica.gate.waiting > 0 || options.replica.areWritesHeld,
    });
  }

  prepare(): Promise<void> {
    const { config, credentials } = this.options;
    return this.driver.prepare(secondaryLinksOf(config, credentials));
  }

  failOver(options: { readonly timeoutMs: number }): Promise<void> {
    return this.driver.failOver(options);
  }

  cutLinks(timeoutMs: number): Promise<void> {
    return this.driver.cutLinks(timeoutMs);
  }

  close(): Promise<void> {
    this.#unsubscribe();
    return Promise.resolve();
  }
}
