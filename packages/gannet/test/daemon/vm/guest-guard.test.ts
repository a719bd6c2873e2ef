import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { GuestGuard } from '../../../src/daemon/vm/guest-guard.js';

let fake: ListeningFakeQemu;
let qmp: QmpClient;
let isRunning: boolean;
let troubles: unknown[];
let stops: number;
let guard: GuestGuard;

beforeEach(async () => {
  [isRunning, troubles, stops] = [true, [], 0];
  fake = await FakeQemu.listen();
  fake.qemu
    .on('query-status', () => ({
      return: { status: isRunning ? 'running' : 'paused', running: isRunning },
    }))
    .on('stop', () => {
      isRunning = false;
      return { return: {} };
    })
    .on('cont', () => {
      isRunning = true;
      return { return: {} };
    });
  qmp = await QmpClient.connect({ target: { kind: 'unix', path: fake.path } });
  guard = new GuestGuard({
    ...{ qmp: () => qmp, patienceMs: 50, cut: () => Promise.resolve() },
    onStopped: () => stops++,
    onTrouble: (error) => troubles.push(error),
  });
});
afterEach(async () => {
  await qmp.close();
  await fake.close();
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

describe('a guest that may not run', () => {
  test('is stopped, and continued when it may', async () => {
    guard.stopGuest();
    expect(guard.isStill).toBe(false);
    await until(() => stops === 1);
    await until(() => guard.isStill);
    await guard.release();
    expect(guard.isStill).toBe(false);
    expect(isRunning).toBe(true);
  });

  test('is continued though an earlier daemon has stopped it', async () => {
    isRunning = false;
    guard.stopGuest();
    await guard.release();
    expect(isRunning).toBe(true);
    expect(stops).toBe(0);
  });

  test('that was started with -S is left to whoever started it', async () => {
    isRunning = false;
    fake.qemu.on('query-status', () => ({ return: { status: 'prelaunch', running: false } }));
    guard.stopGuest();
    await guard.release();
    expect(isRunning).toBe(false);
  });

  test('is stopped when its QEMU, which hung, responds again', async () => {
    fake.qemu.on('query-status', () => 'silence');
    guard.stopGuest();
    await until(() => troubles.length > 0);
    await delay(200);
    expect(isRunning).toBe(true);
    fake.qemu.on('query-status', () => ({ return: { status: 'running', running: true } }));
    await until(() => !isRunning);
    expect(troubles).toHaveLength(1);
  });

  test('is stopped though a checkpoint continues it while it is asked about', async () => {
    // The answer and the event are read from the socket in one piece.
    fake.qemu.once('query-status', ({ id }, peer) => {
      const answer = { id, return: { status: 'colo', running: false } };
      const timestamp = { seconds: 0, microseconds: 0 };
      const event = { timestamp, event: 'RESUME' };
      peer.sendRaw(`${JSON.stringify(answer)}\r\n${JSON.stringify(event)}\r\n`);
      return 'silence';
    });
    guard.stopGuest();
    await until(() => stops === 1);
    expect(isRunning).toBe(false);
  });

  test('is given up when its QEMU ends', async () => {
    fake.qemu.on('query-status', () => 'silence');
    guard.stopGuest();
    await until(() => troubles.length > 0);
    await fake.qemu.drop();
    await guard.release();
    expect(stops).toBe(0);
  });
});
