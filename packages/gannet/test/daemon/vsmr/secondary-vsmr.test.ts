import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Replica } from '@gannet/replicator';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu } from 'qemu-qmp-client/testing';
import { SecondaryVsmr } from '../../../src/daemon/vsmr/secondary-vsmr.js';

let qemu: FakeQemu;
let qmp: QmpClient;
let troubles: unknown[];
beforeEach(async () => {
  troubles = [];
  qemu = new FakeQemu().reply('cont');
  qmp = await QmpClient.connect({ target: { kind: 'stream', stream: qemu.connect() } });
});
afterEach(() => qmp.close());

/** On a new connection to a QEMU that an earlier one has left: no engine is connected to it. */
function reconnected(state: Replica['state']): SecondaryVsmr {
  const link = { loss: undefined, isConnected: false } as unknown as Replica['link'];
  return new SecondaryVsmr(qmp, {
    ...{ vm: 'web', migrate: 'unix:/nowhere', credentials: undefined },
    replica: { state, reason: '', link },
    onBegin: () => undefined,
    onEnd: () => undefined,
    onTrouble: (error) => troubles.push(error),
    onRefused: () => undefined,
  });
}

const conts = (): number => qemu.received.filter(({ command }) => command === 'cont').length;

test.each(['failed-over', 'retired'] as const)(
  'a takeover is repeated on another connection to QEMU: %s',
  async (state) => {
    const secondary = reconnected(state);
    await secondary.failOver({ timeoutMs: 1000 });
    await secondary.failOver({ timeoutMs: 1000 });
    expect(conts()).toBe(2);
    await secondary.close();
  },
);

test.each(['seeding', 'protected', 'diverged'] as const)(
  'a replica that has not taken over lets no guest run: %s',
  async (state) => {
    const secondary = reconnected(state);
    const failed = secondary.failOver({ timeoutMs: 1000 });
    await expect(failed).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(conts()).toBe(0);
    await secondary.close();
  },
);
