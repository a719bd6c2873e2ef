/**
 * A guest's network card in COLO: how its packets reach the secondary and are compared, and the
 * names that this package gives to what it adds to QEMU. Filters sit between a card and its back
 * end (-netdev); QEMU runs a chain from the back end to the card in the order in which filters were
 * added, and the other way round from the card to the back end.
 *
 *     primary
 *       back end ─► mirror ─────────────────────────────────► card   a copy to the secondary
 *       back end ◄─ release ◄── colo-compare ◄── capture ◄─── card   held until both sent the same
 *
 *     secondary
 *       back end ─► wall   arrive ─► rewriter ──────────────► card   from the primary's mirror
 *       back end    wall ◄─────────  leave ◄── rewriter ◄──── card   to the primary's colo-compare
 *
 * Source: QEMU docs/colo-proxy.txt, docs/COLO-FT.txt, net/filter-mirror.c, net/filter-rewriter.c,
 * net/colo-compare.c; what is done otherwise here, and why, is in NOTES.md.
 */
import type { ChardevBackend, QmpClient } from 'qemu-qmp-client';
import type { Deadline } from '../deadline.js';
import { NetworkError, step } from '../errors.js';
import type { ServerAddress } from '../disk/disk-link.js';

/**
 * Where packets go. With TLS it is a TCP port, and a server's certificate has to name its host:
 * QEMU takes no other name for a character device.
 */
export type PacketAddress = ServerAddress & {
  /** Id of the credentials object. Default: no TLS. */
  readonly tlsCreds?: string | undefined;
  /** For a server, id of the object that says who may connect. */
  readonly tlsAuthz?: string | undefined;
};

/** One network card of a protected VM. */
export interface ComparedCard {
  /** Id of its back end (-netdev), the same on both sides. */
  readonly netdev: string;
  /**
   * Where the secondary's QEMU takes the packets for the guest: it listens, the primary's connects.
   */
  readonly mirror: PacketAddress;
  /**
   * Where the secondary's QEMU hands over its guest's packets: it listens, the primary's connects.
   */
  readonly compare: PacketAddress;
  /**
   * A packet that only one of the guests has sent waits so long, then there is a checkpoint.
   * Default 1000.
   */
  readonly compareTimeoutMs?: number | undefined;
  /**
   * A unix socket at which the primary's QEMU is to say that outputs differ, and to hear of
   * checkpoints: for an engine other than COLO. Default: it tells COLO.
   */
  readonly noticesPath?: string | undefined;
}

export interface NetworkContext {
  readonly qmp: QmpClient;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
}

const PREFIX = 'gannet-';

/** Objects of QEMU (-object), by what they are for. */
export function objectsOf({ netdev }: ComparedCard) {
  const name = (part: string): string => `${PREFIX}${part}-${netdev}`;
  return {
    ...{ wall: name('wall'), arrive: name('arrive'), leave: name('leave') },
    rewriter: name('rewriter'),
    ...{ mirror: name('mirror'), release: name('release'), capture: name('capture') },
    ...{ buffer: name('buffer') },
    ...{ compare: name('compare'), thread: name('compare-thread'), probe: name('probe') },
  };
}

/** Character devices. `captured` and `released` are sockets that lead from QEMU to itself. */
export function chardevsOf({ netdev }: ComparedCard) {
  const name = (part: string): string => `${PREFIX}${part}-${netdev}`;
  return {
    ...{ nowhere: name('nowhere'), arriving: name('arriving'), leaving: name('leaving') },
    ...{ mirrored: name('mirrored'), secondary: name('secondary') },
    ...{ notices: name('notices') },
    ...{ captured: name('captured'), capturedEnd: name('captured-end') },
    ...{ released: name('released'), releasedEnd: name('released-end') },
  };
}

/**
 * The names of all sockets that filters of these cards can have. A peer that takes nothing hangs
 * QEMU.
 */
export function chardevNames(cards: readonly ComparedCard[]): string[] {
  return cards.flatMap((card) => Object.values(chardevsOf(card)));
}

export function listening(address: PacketAddress): ChardevBackend {
  return { type: 'socket', data: { ...socketOf(address), server: true, wait: false } };
}

export function connecting(address: PacketAddress): ChardevBackend {
  return { type: 'socket', data: { ...socketOf(address), server: false, nodelay: true } };
}

function socketOf(address: PacketAddress) {
  const { tlsCreds, tlsAuthz } = address;
  return {
    addr: legacyAddress(address),
    ...(tlsCreds !== undefined && { 'tls-creds': tlsCreds }),
    ...(tlsAuthz !== undefined && { 'tls-authz': tlsAuthz }),
  };
}

function legacyAddress(address: ServerAddress) {
  return address.type === 'unix'
    ? ({ type: 'unix', data: { path: address.path } } as const)
    : ({ type: 'inet', data: { host: address.host, port: String(address.port) } } as const);
}

/** @throws NetworkError `DRIVER_NETWORK_REFUSED` with QEMU's words */
export async function addChardev(
  { qmp, deadline, commandTimeoutMs }: NetworkContext,
  { netdev }: ComparedCard,
  id: string,
  backend: ChardevBackend,
): Promise<void> {
  await step(
    () => qmp.execute('chardev-add', { id, backend }, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the network card at ${netdev} cannot be connected: ${words}`;
      const remedy =
        'See that the addresses of `network` lead from the primary to where the secondary listens.';
      return new NetworkError('DRIVER_NETWORK_REFUSED', message, remedy, { cause });
    },
  );
}

/** @throws NetworkError `DRIVER_NETWORK_REFUSED` with QEMU's words */
export async function addObject(
  { qmp, deadline, commandTimeoutMs }: NetworkContext,
  { netdev }: ComparedCard,
  type: string,
  id: string,
  properties: Readonly<Record<string, unknown>>,
): Promise<void> {
  const args = { 'qom-type': type, id, ...properties };
  await step(
    () => qmp.execute('object-add', args, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `QEMU refuses a ${type} for the network card at ${netdev}: ${words}`;
      const remedy = `Start it with -netdev …,id=${netdev}, without vhost=on and with one queue.`;
      return new NetworkError('DRIVER_NETWORK_REFUSED', message, remedy, { cause });
    },
  );
}

/**
 * Removes what is there of these, in this order; objects first, since they use the character
 * devices.
 * @throws NetworkError `DRIVER_NETWORK_STUCK`: with the first error, after all has been tried
 */
export async function removeAll(
  { qmp, deadline, commandTimeoutMs }: NetworkContext,
  { netdev }: ComparedCard,
  objects: readonly string[],
  chardevs: readonly string[],
): Promise<void> {
  const options = (): object => deadline.options(commandTimeoutMs);
  const stuck = (words: string, cause: unknown): NetworkError => {
    const message = `the filters of the network card at ${netdev} cannot be removed: ${words}`;
    const remedy = 'Remove what begins with gannet- with object-del, then with chardev-remove.';
    return new NetworkError('DRIVER_NETWORK_STUCK', message, remedy, { cause });
  };
  const [present, connected] = await step(async () => {
    const there = await qmp.execute('qom-list', { path: '/objects' }, options());
    const ports = await qmp.execute('query-chardev', {}, options());
    return [
      new Set(there.map(({ name }) => name)),
      new Set(ports.map(({ label }) => label)),
    ] as const;
  }, stuck);
  const errors: unknown[] = [];
  const attempt = async (run: () => Promise<unknown>): Promise<void> => {
    await step(run, stuck).catch((error: unknown) => errors.push(error));
  };
  for (const id of objects.filter((id) => present.has(id))) {
    await attempt(() => qmp.execute('object-del', { id }, options()));
  }
  for (const id of chardevs.filter((id) => connected.has(id))) {
    await attempt(() => qmp.execute('chardev-remove', { id }, options()));
  }
  if (errors.length > 0) throw errors[0];
}
