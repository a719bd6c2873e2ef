/**
 * The secondary's side of a network card in COLO.
 *
 *   prepare   while it waits for its primary: it listens, and no packet passes between its guest and its own back end
 *   open      after the failover: its back end is the guest's network now, and learns so
 *
 * The rewriter stays for good: connections that began after the last checkpoint have other sequence numbers in this
 * guest than the client knows.
 */
import { NetworkError, step } from '../errors.js';
import {
  addChardev,
  addObject,
  chardevsOf,
  listening,
  type NetworkContext,
  type NetworkLink,
  objectsOf,
  removeAll,
} from './network-link.js';

/** See primary-network.ts. */
const HEADERS = { vnet_hdr_support: true };
/** Gratuitous packets with the guest's addresses, so that switches know where it is: five within a second. */
const ANNOUNCEMENTS = { initial: 50, max: 250, rounds: 5, step: 50 };

/** @throws NetworkError `DRIVER_NETWORK_REFUSED`; WaitError */
export async function prepareNetwork(
  context: NetworkContext,
  links: readonly NetworkLink[],
): Promise<void> {
  for (const link of links) {
    const { netdev } = link;
    const chardev = chardevsOf(link);
    const object = objectsOf(link);
    await removeAll(
      context,
      link,
      [object.leave, object.arrive, object.rewriter, object.wall],
      [chardev.leaving, chardev.arriving, chardev.nowhere],
    );
    await addChardev(context, link, chardev.nowhere, { type: 'null', data: {} });
    await addChardev(context, link, chardev.arriving, listening(link.mirror));
    await addChardev(context, link, chardev.leaving, listening(link.compare));
    const filters = [
      // The first: without a primary at its socket, a redirector lets the guest's packets pass.
      ['filter-redirector', object.wall, { queue: 'all', outdev: chardev.nowhere }],
      ['filter-redirector', object.arrive, { queue: 'tx', indev: chardev.arriving, ...HEADERS }],
      ['filter-redirector', object.leave, { queue: 'rx', outdev: chardev.leaving, ...HEADERS }],
      ['filter-rewriter', object.rewriter, { queue: 'all', ...HEADERS }],
    ] as const;
    for (const [type, id, properties] of filters) {
      await addObject(context, link, type, id, { netdev, ...properties });
    }
  }
}

/** Harmless when repeated. @throws NetworkError `DRIVER_NETWORK_STUCK`; WaitError */
export async function openNetwork(
  context: NetworkContext,
  links: readonly NetworkLink[],
): Promise<void> {
  for (const link of links) {
    const { leave, arrive, wall } = objectsOf(link);
    const { leaving, arriving, nowhere } = chardevsOf(link);
    await removeAll(context, link, [leave, arrive, wall], [leaving, arriving, nowhere]);
  }
  if (links.length === 0) return;
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
