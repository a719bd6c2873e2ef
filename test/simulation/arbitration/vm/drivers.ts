// The drivers, with the block graph and the network cards left out: what is left of each step is
// what it does to the guest, to COLO and to the link.

import {
  type DiskLink,
  type LocalDisk,
  type MoveOutcome,
  PrimaryDriver as ShippedPrimaryDriver,
  SecondaryDriver as ShippedSecondaryDriver,
} from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import { setTimeout as sleep } from 'node:timers/promises';

export * from '@gannet/qmp-driver';

const TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const MOVE_MS = 300;

interface Asked {
  execute(command: string, given?: object, options?: object): Promise<unknown>;
}

interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/** Seeds, enters and leaves COLO by commands of the simulated QEMU; stops and cuts as it ships. */
export class PrimaryDriver extends ShippedPrimaryDriver {
  readonly #qmp: Asked;

  constructor(...given: ConstructorParameters<typeof ShippedPrimaryDriver>) {
    super(...given);
    const [qmp, options] = given;
    this.#qmp = qmp;
    qmp.onEvent('QUORUM_REPORT_BAD', ({ data: { 'node-name': node } }) => {
      const message = 'a write failed';
      if (node === 'replica') options?.onLinkFailure?.({ device: 'vb0', node, message });
      else options?.onDiskFailure?.({ device: 'vb0', node, effect: 'lacks-write', message });
    });
    qmp.onEvent('BLOCK_IO_ERROR', ({ data: { action } }) => {
      const effect = action === 'stop' ? 'stopped' : 'reported';
      options?.onDiskFailure?.({ device: 'vb0', node: 'own', effect, message: 'a write failed' });
    });
  }

  override preflight(): Promise<[]> {
    return Promise.resolve([]);
  }

  override async seed(_disks: readonly DiskLink[], { signal }: Waiting = {}): Promise<void> {
    await this.#qmp.execute('x-sim-seed', {}, { timeoutMs: 0, signal });
  }

  override attach(): Promise<void> {
    return Promise.resolve();
  }

  override async start({ signal }: Waiting): Promise<void> {
    await this.#qmp.execute('migrate', { uri: 'sim' }, { timeoutMs: TIMEOUT_MS });
    for (;;) {
      const answer = await this.#qmp.execute('query-migrate', {}, { timeoutMs: TIMEOUT_MS });
      const { status } = answer as { readonly status: string };
      if (status === 'colo') return;
      if (status === 'failed') throw new Error('the migration has failed');
      signal?.throwIfAborted();
      await sleep(POLL_MS);
    }
  }

  override finishSeed(): Promise<void> {
    return Promise.resolve();
  }

  override setPeriod(): Promise<void> {
    return Promise.resolve();
  }

  override checkpointNow(): Promise<void> {
    return Promise.resolve();
  }

  override checkGraph(): Promise<void> {
    return Promise.resolve();
  }

  override adopt(): Promise<void> {
    return Promise.resolve();
  }

  override async cutSeeds(): Promise<void> {
    await this.cutLinks(TIMEOUT_MS);
  }

  override async runAlone(): Promise<void> {
    const options = { timeoutMs: TIMEOUT_MS };
    await this.cutLinks(TIMEOUT_MS);
    await this.#qmp.execute('x-sim-unlink', {}, options);
    for (;;) {
      const answer = await this.#qmp.execute('query-colo-status', {}, options);
      if ((answer as { readonly mode: string }).mode === 'none') return;
      // What was refused has been done meanwhile, or the next look says more.
      await this.#qmp.execute('x-colo-lost-heartbeat', {}, options).catch(() => undefined);
      await sleep(POLL_MS);
    }
  }

  override rollback(): Promise<void> {
    return this.runAlone();
  }
}

/** Takes over as it ships. The move takes its time, and is done. */
export class SecondaryDriver extends ShippedSecondaryDriver {
  override async moveToLocal(
    _disks: readonly LocalDisk[],
    drain: () => Promise<void>,
  ): Promise<MoveOutcome> {
    await sleep(MOVE_MS);
    await drain();
    return { guestStopped: false };
  }
}

/** What an earlier daemon has linked. */
export async function linkedInQemu(qmp: QmpClient, links: readonly DiskLink[]): Promise<object[]> {
  const isLinked = await (qmp as Asked).execute('x-sim-linked', {}, { timeoutMs: TIMEOUT_MS });
  return isLinked === true ? links.map((disk) => ({ disk, names: [] })) : [];
}

/** What `gannet check` reads of a host: nothing, and so nothing is wrong. */
export const inspectPrimary = (): Promise<object> => Promise.resolve({});
export const inspectSecondary = inspectPrimary;
/** Nor are there sizes of disks to compare. */
export const diskPairsOf = (): readonly never[] => [];
