/** Clients of a VM under the VSMR engine, on unmodified QEMU: what they see of a failover. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { checkpoints, CONNECTIONS, inNetwork, open, survive } from './clients.js';
import { talked } from '../guests.js';

test('24 connections survive, 12 of them younger than the last checkpoint', async () => {
  await inNetwork('compared', async (pair, network) => {
    await open(network, CONNECTIONS);
    await talked(network, 10);
    await pair.protect();
    // No period: only differing packets ask for a checkpoint.
    const loop = checkpoints(pair, () => pair.differ());
    await talked(network, 20);
    // What the secondary's guest does not send, the primary's must not have sent alone.
    pair.secondary.vm.sigstop();
    await sleep(1500);
    pair.secondary.vm.sigcont();
    await talked(network, 20);
    expect(loop.made.length).toBeGreaterThan(0);
    const before = pair.engines.secondary.number;
    await open(network, 2 * CONNECTIONS);
    await talked(network, 20);
    process.stdout.write(
      `checkpoints for differing packets: ${loop.made.length}, ` +
        `${pair.engines.secondary.number - before} of them since the last 12 connections began\n`,
    );
    await loop.end();
    await survive(pair, network, 2 * CONNECTIONS);
  });
});
