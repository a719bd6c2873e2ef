/**
 * The primary's side of a network card in COLO.
 *
 *   connect   before COLO: makes colo-compare and its connections. The guest's packets still go
 *             straight out, since there is no secondary yet to compare them with.
 *   join      in COLO: leads the guest's packets through colo-compare. Packets that were sent
 *             earlier have not reached the secondary; the next checkpoint makes both equal again.
 *   leave     at any time: sends what is held, and removes everything.
 */
import { randomUUID } from 'node:crypto';
import type { ChardevBackend } from 'qemu-qmp-client';
import { NetworkError, step } from '../errors.js';
import {
  addChardev,
  addObject,
  chardevsOf,
  connecting,
  listening,
  type NetworkContext,
  type ComparedCard,
  objectsOf,
  removeAll,
} from './compared-card.js';

const COMPARE_TIMEOUT_MS = 1000;
/** Packets may then wait for a quarter longer than they should. */
const SCANS_PER_TIMEOUT = 4;
/**
 * QEMU takes the length of the virtio header from the back end, 0 without one: right for every
 * card.
 */
const HEADERS = { vnet_hdr_support: true };

/**
 * Whether the back ends take filters at all: those with vhost, or with several queues, do not.
 * @throws NetworkError `DRIVER_NETWORK_REFUSED`
 * @throws WaitError
 */
export async function probeNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  for (const card of cards) {
    const { probe } = objectsOf(card);
    await removeAll(context, card, [probe], []);
    const filter = { netdev: card.netdev, interval: 1, status: 'off' };
    await addObject(context, card, 'filter-buffer', probe, filter);
    await removeAll(context, card, [probe], []);
  }
}

/**
 * @throws NetworkError `DRIVER_NETWORK_REFUSED` and takes back what it did
 * @throws WaitError
 */
export async function connectNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  await leaveNetwork(context, cards);
  try {
    for (const card of cards) await connectOne(context, card);
  } catch (error) {
    await leaveNetwork(context, cards).catch(() => undefined);
    throw error;
  }
}

async function connectOne(context: NetworkContext, card: ComparedCard): Promise<void> {
  const chardev = chardevsOf(card);
  const object = objectsOf(card);
  await addChardev(context, card, chardev.mirrored, connecting(card.mirror));
  await addChardev(context, card, chardev.secondary, connecting(card.compare));
  const loops = [
    [chardev.captured, chardev.capturedEnd],
    [chardev.released, chardev.releasedEnd],
  ] as const;
  for (const [server, client] of loops) {
    const name = `gannet-${randomUUID()}`;
    await addChardev(context, card, server, loopback(name, true));
    await addChardev(context, card, client, loopback(name, false));
  }
  const { noticesPath } = card;
  if (noticesPath !== undefined) {
    const backend = listening({ type: 'unix', path: noticesPath });
    await addChardev(context, card, chardev.notices, backend);
  }
  const timeoutMs = card.compareTimeoutMs ?? COMPARE_TIMEOUT_MS;
  await addObject(context, card, 'iothread', object.thread, {});
  await addObject(context, card, 'colo-compare', object.compare, {
    primary_in: chardev.capturedEnd,
    secondary_in: chardev.secondary,
    outdev: chardev.releasedEnd,
    iothread: object.thread,
    compare_timeout: timeoutMs,
    expired_scan_cycle: Math.ceil(timeoutMs / SCANS_PER_TIMEOUT),
    ...(noticesPath !== undefined && { notify_dev: chardev.notices }),
    ...HEADERS,
  });
}

/** Nobody else in the network namespace can guess the name, and no file is left. */
function loopback(name: string, server: boolean): ChardevBackend {
  const addr = { type: 'unix', data: { path: name, abstract: true } } as const;
  return { type: 'socket', data: { addr, server, ...(server && { wait: false }) } };
}

/**
 * At the end of the chain: behind the rewriter of a card whose VM was a secondary once. Connections
 * from before that failover then have the guest's own sequence numbers here, as the new secondary
 * knows them.
 * @throws NetworkError `DRIVER_NETWORK_REFUSED`
 * @throws WaitError
 */
export async function joinNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  for (const card of cards) {
    const { netdev } = card;
    const chardev = chardevsOf(card);
    const object = objectsOf(card);
    const filters = [
      ['filter-mirror', object.mirror, { queue: 'tx', outdev: chardev.mirrored }],
      ['filter-redirector', object.release, { queue: 'rx', indev: chardev.released }],
      // The last: what it takes away has to have a way out.
      ['filter-redirector', object.capture, { queue: 'rx', outdev: chardev.captured }],
    ] as const;
    for (const [type, id, properties] of filters) {
      await addObject(context, card, type, id, { netdev, ...properties, ...HEADERS });
    }
  }
}

/**
 * The cards whose packets go through colo-compare.
 * @throws NetworkError `DRIVER_NETWORK_STUCK`
 * @throws WaitError
 */
export async function joinedNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<ComparedCard[]> {
  if (cards.length === 0) return [];
  const { qmp, deadline, commandTimeoutMs } = context;
  const there = await step(
    () => qmp.execute('qom-list', { path: '/objects' }, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the filters of the network cards cannot be read: ${words}`;
      return new NetworkError('DRIVER_NETWORK_STUCK', message, 'See whether QEMU still answers.', {
        cause,
      });
    },
  );
  return cards.filter((card) => there.some(({ name }) => name === objectsOf(card).capture));
}

/**
 * Harmless when there is nothing.
 * @throws NetworkError `DRIVER_NETWORK_STUCK`
 * @throws WaitError
 */
export async function leaveNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  const errors: unknown[] = [];
  for (const card of cards) {
    const { capture, compare, thread, mirror, release } = objectsOf(card);
    const chardev = chardevsOf(card);
    await removeAll(
      context,
      card,
      // The guest's packets go straight out; then colo-compare lets go of what it holds.
      [capture, compare, thread, mirror, release],
      [
        ...[chardev.mirrored, chardev.secondary, chardev.notices],
        ...[chardev.capturedEnd, chardev.captured, chardev.releasedEnd, chardev.released],
      ],
    ).catch((error: unknown) => errors.push(error));
  }
  if (errors.length > 0) throw errors[0];
}
