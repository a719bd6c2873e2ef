import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ExternalSource } from '@gannet/checkpointer';
import { MoveError, type SecondaryDriver } from '@gannet/qmp-driver';
import type { Replica } from '@gannet/replicator';
import type { SecondaryConfig } from '@gannet/contract';
import {
  type FailoverTarget,
  SecondaryFailoverSteps,
} from '../../../src/daemon/secondary/failover-steps.js';

import { record, termsInMemory } from '../../support/records.js';

// The move to the local disks, as far as this package decides it: a guest, and a driver that fails.

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-steps-'));
  await writeFile(path.join(dir, 'base.raw'), '');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

type Drain = () => Promise<void>;

/** A guest that runs or not, and what its QEMU and its replica were told. */
class Guest {
  readonly events: string[] = [];
  isRunning = true;
  state: Replica['state'] = 'failed-over';
  /** How the next moves go; the last one again and again. */
  moves: ((drain: Drain) => Promise<void>)[] = [];

  readonly #driver: Pick<SecondaryDriver, 'moveToLocal'> = {
    moveToLocal: async (_disks, drain) => {
      const [move = () => Promise.resolve()] = this.moves.splice(0, 1);
      const wasRunning = this.isRunning;
      this.isRunning = false;
      await move(drain);
      // As the driver does: a guest that was not running is not started.
      this.isRunning = wasRunning;
      return { guestStopped: !wasRunning };
    },
  };
  readonly #qmp = {
    execute: (command: string): Promise<object> => {
      if (command === 'cont') this.isRunning = true;
      return Promise.resolve({});
    },
  };
  readonly #replica = {
    disks: [],
    catchUp: () => Promise.resolve(),
    settle: () => {
      this.state = 'retired';
      return Promise.resolve();
    },
  };

  get steps(): SecondaryFailoverSteps {
    const replica = Object.defineProperty(this.#replica, 'state', { get: () => this.state });
    const disks = [{ name: 'disk0', device: 'vb0', base: path.join(dir, 'base.raw') }];
    return new SecondaryFailoverSteps({
      history: { add: (...[kind]) => void this.events.push(kind) },
      replica: replica as unknown as Replica,
      takeoverEpoch: () => 4,
      terms: termsInMemory(record('taken-over', 4)),
      vm: { qmp: this.#qmp } as unknown as FailoverTarget['vm'],
      source: new ExternalSource(),
      config: () => ({ vm: 'web', disks, network: [] }) as unknown as SecondaryConfig,
      driver: () => this.#driver as SecondaryDriver,
      engine: () => undefined,
    });
  }
}

const undone = (guestStopped = true): MoveError =>
  new MoveError('DRIVER_MOVE_UNDONE', 'QEMU cannot open the base', 'Continue it.', guestStopped);
const untidy = (guestStopped: boolean): MoveError =>
  new MoveError('DRIVER_MOVE_UNTIDY', 'a node is left', 'Delete it.', guestStopped);

describe('a move that fails', () => {
  let guest: Guest;
  let steps: SecondaryFailoverSteps;
  beforeEach(() => {
    guest = new Guest();
    steps = guest.steps;
  });
  const move = (): Promise<void> => steps.move(() => undefined);

  test('behind a retired replica leaves the guest stopped, and continues it later', async () => {
    guest.moves = [
      async (drain) => {
        await drain();
        throw undone();
      },
    ];
    await expect(move()).rejects.toMatchObject({
      code: 'GANNET_STAGE_FAILED',
      remedy: expect.stringMatching(/^Leave the guest stopped.*`gannet failover web` again\.$/),
    });
    expect(guest).toMatchObject({ isRunning: false, state: 'retired' });
    await move();
    expect(guest.isRunning).toBe(true);
    expect(guest.events).toEqual(['moved-to-local']);
  });

  test('while the replica still serves the disks lets the guest run on there', async () => {
    guest.moves = [() => Promise.reject(undone())];
    await expect(move()).rejects.toMatchObject({
      remedy: 'Remove the cause, then run `gannet failover web` again.',
    });
    expect(guest).toMatchObject({ isRunning: true, state: 'failed-over' });
    await move();
    expect(guest.isRunning).toBe(true);
  });

  test('twice does not forget that the guest ran before the first', async () => {
    const fail = async (drain: Drain): Promise<void> => {
      await drain();
      throw undone();
    };
    // The second one finds a guest that is stopped, so it has not stopped it.
    guest.moves = [fail, () => Promise.reject(undone(false))];
    await expect(move()).rejects.toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    await expect(move()).rejects.toMatchObject({
      remedy: expect.stringContaining('Leave the guest stopped'),
    });
    await move();
    expect(guest.isRunning).toBe(true);
  });

  test('only to tidy up is done, and is not repeated', async () => {
    let moves = 0;
    guest.moves = [
      async (drain) => {
        moves++;
        await drain();
        guest.isRunning = true;
        throw untidy(false);
      },
      () => {
        moves++;
        return Promise.resolve();
      },
    ];
    await move();
    await move();
    expect(moves).toBe(1);
    expect(guest.isRunning).toBe(true);
    expect(guest.events).toEqual(['trouble', 'moved-to-local']);
  });

  test('only to continue the guest continues it', async () => {
    guest.moves = [() => Promise.reject(untidy(true))];
    await move();
    expect(guest.isRunning).toBe(true);
  });
});
