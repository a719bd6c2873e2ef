/**
 * How a disk of the primary reaches the replicator, and the names that this package gives its
 * nodes.
 */
import type { SocketAddress } from 'qemu-qmp-client';
import { LinkError } from '../errors.js';

/**
 * - `replication`: an NBD child of the quorum below QEMU's replication filter
 *   (docs/block-replication.txt).
 *   Refuses writes until COLO runs, and swallows write errors from then on.
 * - `nbd`: a plain NBD child of the quorum.
 * - `mirror`: the write-blocking mirror that seeded the replica goes on; needs no quorum.
 */
export type LinkKind = 'replication' | 'nbd' | 'mirror';

export type ServerAddress =
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'inet'; readonly host: string; readonly port: number | string };

/** One disk and where its replica is. */
export interface DiskLink {
  /** Qdev id, drive id or node name; see findDisk(). */
  readonly device: string;
  readonly link: LinkKind;
  /** The replicator's NBD server, as seen from QEMU's host. */
  readonly server: ServerAddress;
  readonly export: string;
  /**
   * Exports for a first copy that can be resumed after its connection broke: one to begin at, one
   * to go on at, and one for the link that follows it, in place of `export`. The first two must not
   * offer FLUSH (see seed-target.ts). Without them the copy goes to `export`, and fails with its
   * connection.
   */
  readonly seedExports?:
    { readonly begin: string; readonly resume: string; readonly link: string } | undefined;
  /**
   * The replica's base is brought up to date: its mirror brings what is written from now on, and
   * what the base lacks is copied by SeedOptions.alongside. `seedExports.begin` is an export for that.
   */
  readonly isUpdate?: boolean | undefined;
  /**
   * Stem of the names of nodes and jobs: unique per VM, a letter first, at most 24 of
   * `A-Za-z0-9._-`.
   */
  readonly id: string;
  /** Id of a tls-creds object in QEMU, for TLS to the server. */
  readonly tlsCreds?: string;
  /** Name that the server's certificate has to carry, where it is not `host`. */
  readonly tlsHostname?: string;
}

/**
 * Node names are limited to 31 characters (QEMU include/block/block_int-common.h, node_name[32]).
 */
const ID_PATTERN = /^[A-Za-z][A-Za-z0-9._-]{0,23}$/;

export interface LinkNames {
  /** Node that the mirror writes to: an NBD node, or one above `seedLinks`. */
  readonly seedNode: string;
  /**
   * NBD nodes of a copy that can be resumed: one is in use, the other takes its place when it
   * breaks.
   */
  readonly seedLinks: readonly [string, string];
  /** Job id of the mirror. */
  readonly seedJob: string;
  /** The quorum's child. */
  readonly linkNode: string;
  /** NBD node below the replication filter. */
  readonly nbdNode: string;
}

export function namesOf({ id }: DiskLink): LinkNames {
  return {
    seedNode: `${id}-seed`,
    seedLinks: [`${id}-seed0`, `${id}-seed1`],
    seedJob: `${id}-seed`,
    linkNode: `${id}-link`,
    nbdNode: `${id}-nbd`,
  };
}

/** The names of the nodes whose connections can be yanked. */
export function nbdNodesOf(disk: DiskLink): string[] {
  const { seedNode, seedLinks, linkNode, nbdNode } = namesOf(disk);
  return [seedNode, ...seedLinks, linkNode, nbdNode];
}

export function socketAddressOf(server: ServerAddress): SocketAddress {
  return server.type === 'unix'
    ? { type: 'unix', path: server.path }
    : { type: 'inet', host: server.host, port: String(server.port) };
}

/** Options of the NBD node `nodeName` that connects to the replica of `disk`. */
export function nbdOptions(
  disk: DiskLink,
  nodeName: string,
  exportName = disk.seedExports?.link ?? disk.export,
) {
  return {
    driver: 'nbd',
    'node-name': nodeName,
    server: socketAddressOf(disk.server),
    export: exportName,
    ...(disk.tlsCreds !== undefined && { 'tls-creds': disk.tlsCreds }),
    ...(disk.tlsHostname !== undefined && { 'tls-hostname': disk.tlsHostname }),
  } as const;
}

/** @throws LinkError `DRIVER_BAD_LINK` for an id that QEMU would not take, or one used twice */
export function checkLinks(disks: readonly DiskLink[]): void {
  const seen = new Set<string>();
  for (const { id, device } of disks) {
    if (!ID_PATTERN.test(id)) {
      throw new LinkError(
        'DRIVER_BAD_LINK',
        `${JSON.stringify(id)} cannot be the id of the link of ${device}`,
        'Use a letter and then up to 23 letters, digits, dots, underscores or hyphens.',
      );
    }
    if (seen.has(id)) {
      const message = `the id ${id} is used for two links, the second of ${device}`;
      throw new LinkError('DRIVER_BAD_LINK', message, 'Give each disk an id of its own.');
    }
    seen.add(id);
  }
}
