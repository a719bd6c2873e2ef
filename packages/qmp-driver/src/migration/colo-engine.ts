/** COLO, which QEMU brings along: the memory goes with a migration that never completes. */
import type { QmpClient } from 'qemu-qmp-client';
import type { CheckpointEngine, StartOptions } from '../checkpoint-engine.js';
import { Deadline } from '../deadline.js';
import { ColoError } from '../errors.js';
import { haltGuest } from '../guest/halt-guest.js';
import {
  checkGuest,
  checkpointNow,
  leaveColo,
  type MigrationContext,
  migrateIntoColo,
  queryMigration,
  setCheckpointDelay,
} from '../migration.js';
import { chardevNames, type ComparedCard } from '../network/compared-card.js';
import {
  connectNetwork,
  joinedNetwork,
  joinNetwork,
  leaveNetwork,
  probeNetwork,
} from '../network/primary-network.js';
import type { PeerConnections } from '../yank.js';
import { ColoCapabilities } from './colo-capabilities.js';
import { clearMigrationTls, setMigrationTls } from './migration-tls.js';

/** How long its steps may take, and what it compares. */
export interface ColoEngineOptions {
  readonly network: readonly ComparedCard[];
  readonly commandTimeoutMs: number;
  readonly stepTimeoutMs: number;
  readonly pollMs: number;
  /** Called with what cannot be mended, and hinders nobody now. */
  readonly onTrouble: (error: ColoError) => void;
}

/** How long QEMU may take to end a migration that it was told to stop. */
const STOP_PATIENCE_MS = 5000;
/** One that is not its own. */
const FOREIGN_PATIENCE_MS = 1000;

/** The primary's side of COLO. */
export class ColoEngine implements CheckpointEngine {
  readonly kind = 'colo';
  readonly #qmp: QmpClient;
  readonly #options: ColoEngineOptions;
  readonly #capabilities = new ColoCapabilities();
  #compared: readonly ComparedCard[] = [];
  /** QEMU was in COLO: any other migration since then is somebody else's. */
  #wasInColo = false;

  constructor(qmp: QmpClient, options: ColoEngineOptions) {
    this.#qmp = qmp;
    this.#options = options;
  }

  get comparedCards(): readonly string[] {
    return this.#compared.map(({ netdev }) => netdev);
  }

  get connections(): Omit<PeerConnections, 'nodes'> {
    return { chardevs: chardevNames(this.#options.network), migration: true };
  }

  async preflight(): Promise<[]> {
    await probeNetwork(this.#context('looking at the network cards'), this.#options.network);
    return [];
  }

  /** Resolves when the primary's migration status is `colo`. */
  async start(options: StartOptions, health: () => void): Promise<void> {
    const { uri, tls, periodMs, timeoutMs, signal, onProgress } = options;
    const { network } = this.#options;
    const context = this.#context(`entering COLO at ${uri}`, { timeoutMs, signal });
    await this.#capabilities.enable(context);
    if (tls) await setMigrationTls(context, tls);
    await setCheckpointDelay(context, periodMs);
    await connectNetwork(context, network);
    await migrateIntoColo(context, uri, health, onProgress);
    this.#wasInColo = true;
    await joinNetwork(context, network);
    this.#compared = network;
  }

  async adopt(): Promise<void> {
    const context = this.#context('looking at the network cards');
    this.#compared = await joinedNetwork(context, this.#options.network);
    this.#wasInColo = (await queryMigration(context)).status === 'colo';
  }

  /** QEMU has made them all the time. */
  goOn(): Promise<void> {
    return Promise.resolve();
  }

  checkpointNow(): Promise<void> {
    return checkpointNow(this.#context('asking for a checkpoint'));
  }

  /** In COLO this also starts a checkpoint. */
  setPeriod(periodMs: number): Promise<void> {
    return setCheckpointDelay(this.#context('setting the period'), periodMs);
  }

  /** QEMU goes on making checkpoints: the replica knows that its link has failed. */
  linkFailed(): void {
    return undefined;
  }

  /** All its connections are QEMU's. */
  cut(): void {
    return undefined;
  }

  halt(): Promise<void> {
    return haltGuest(this.#context('stopping the guest'));
  }

  async leave(what: string): Promise<void> {
    const context = this.#context(what);
    const errors: unknown[] = [];
    let stuck: string | undefined;
    const patienceMs = this.#wasInColo ? FOREIGN_PATIENCE_MS : STOP_PATIENCE_MS;
    const steps = [
      async () => {
        await leaveNetwork(context, this.#options.network);
        this.#compared = [];
      },
      async () => {
        stuck = await leaveColo(context, patienceMs);
      },
      // QEMU refuses both as long as a migration is under way.
      async () => {
        if (stuck === undefined) await this.#capabilities.disable(context);
      },
      async () => {
        if (stuck === undefined) await clearMigrationTls(context);
      },
      () => checkGuest(context),
    ];
    for (const step of steps) await step().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw errors[0];
    this.#wasInColo = false;
    if (stuck !== undefined) this.#options.onTrouble(neverEnds(stuck));
  }

  #context(
    what: string,
    wait: { timeoutMs: number; signal?: AbortSignal | undefined } = {
      timeoutMs: this.#options.stepTimeoutMs,
    },
  ): MigrationContext {
    const { commandTimeoutMs, pollMs } = this.#options;
    return { qmp: this.#qmp, deadline: new Deadline(what, wait), commandTimeoutMs, pollMs };
  }
}

function neverEnds(status: string): ColoError {
  return new ColoError(
    'DRIVER_COLO_NOT_LEFT',
    `somebody's migrate or migrate_cancel ended COLO: QEMU's migration stays ${status} for good`,
    'The guest runs on. Restart this QEMU before you protect the VM again.',
  );
}
