/** The same without colo-compare: output waits for the next checkpoint. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { checkpoints, CONNECTIONS, inNetwork, open, survive } from './clients.js';
import { talked } from '../guests.js';

test('24 connections survive when output waits for checkpoints', async () => {
  await inNetwork('buffered', async (pair, network) => {
    await open(network, CONNECTIONS);
    await talked(network, 10);
    await pair.protect();
    const loop = checkpoints(pair, () => sleep(100));
    await talked(network, 5);
    await open(network, 2 * CONNECTIONS);
    await talked(network, 5);
    await loop.end();
    // Without checkpoints nobody gets an answer.
    await talked(network, 0);
    const silent = (await network.report()).map(({ lines }) => lines);
    await sleep(500);
    expect((await network.report()).map(({ lines }) => lines)).toEqual(silent);
    await survive(pair, network, 2 * CONNECTIONS);
  });
});
