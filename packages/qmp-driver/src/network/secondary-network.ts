/**
 * The secondary's side of a network card in COLO.
 *
 *   prepare   while it waits for its primary: listens, and lets no packet pass between its guest
 *             and its own back end
 *   open      after the failover: connects the guest to its own back end, and announces it there
 *
 * The rewriter stays for good: connections that began after the last checkpoint have other sequence
 * numbers in this guest than the client knows.
 */
import { NetworkError, step } from '../errors.js';
import {
  addChardev,
  addObject,
  chardevsOf,
  listening,
  type NetworkContext,
  type ComparedCard,
  objectsOf,
  removeAll,
} from './compared-card.js';

/** See primary-network.ts. */
const HEADERS = { vnet_hdr_support: true };
/**
 * Gratuitous packets with the guest's addresses, so that switches know where it is: five within a
 * second.
 */
const ANNOUNCEMENTS = { initial: 50, max: 250, rounds: 5, step: 50 };

/**
 * @throws NetworkError `DRIVER_NETWORK_REFUSED`
 * @throws WaitError
 */
export async function prepareNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  for (const card of cards) {
    const { netdev } = card;
    const chardev = chardevsOf(card);
    const object = objectsOf(card);
    await removeAll(
      context,
      card,
      [object.leave, object.arrive, object.rewriter, object.wall],
      [chardev.leaving, chardev.arriving, chardev.nowhere],
    );
    await addChardev(context, card, chardev.nowhere, { type: 'null', data: {} });
    await addChardev(context, card, chardev.arriving, listening(card.mirror));
    await addChardev(context, card, chardev.leaving, listening(card.compare));
    const filters = [
      // The first: without a primary at its socket, a redirector lets the guest's packets pass.
      ['filter-redirector', object.wall, { queue: 'all', outdev: chardev.nowhere }],
      ['filter-redirector', object.arrive, { queue: 'tx', indev: chardev.arriving, ...HEADERS }],
      ['filter-redirector', object.leave, { queue: 'rx', outdev: chardev.leaving, ...HEADERS }],
      ['filter-rewriter', object.rewriter, { queue: 'all', ...HEADERS }],
    ] as const;
    for (const [type, id, properties] of filters) {
      await addObject(context, card, type, id, { netdev, ...properties });
    }
  }
}

/**
 * Harmless when repeated.
 * @throws NetworkError `DRIVER_NETWORK_STUCK`
 * @throws WaitError
 */
export async function openNetwork(
  context: NetworkContext,
  cards: readonly ComparedCard[],
): Promise<void> {
  for (const card of cards) {
    const { leave, arrive, wall } = objectsOf(card);
    const { leaving, arriving, nowhere } = chardevsOf(card);
    await removeAll(context, card, [leave, arrive, wall], [leaving, arriving, nowhere]);
  }
  if (cards.length === 0) return;
  const { qmp, deadline, commandTimeoutMs } = context;
  await step(
    () => qmp.executeRaw('announce-self', ANNOUNCEMENTS, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the network cannot be told where the guest is: ${words}`;
      const remedy = 'It learns with the first packet that the guest sends.';
      return new NetworkError('DRIVER_NETWORK_STUCK', message, remedy, { cause });
    },
  );
}
