import path from 'node:path';
import type { PrimaryConfig } from '@gannet/contract';
import { NbdClient } from '@gannet/nbd';
import { type DiskLink, OwnDisks, shortSocketPath } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import type { OwnDisk } from './verify-ports.js';

const COMMAND_TIMEOUT_MS = 10_000;

/** The primary's own disks, opened for reading while the guest runs. */
export interface OpenOwnDisks {
  readonly disks: readonly OwnDisk[];
  close(): Promise<void>;
}

/** @throws DriverError or NbdConnectionError if they can't be read; nothing is left open then */
export async function openOwnDisks(
  qmp: QmpClient,
  links: readonly DiskLink[],
  config: PrimaryConfig,
): Promise<OpenOwnDisks> {
  const bounds = { timeoutMs: COMMAND_TIMEOUT_MS };
  const own = await OwnDisks.open(qmp, links, ownDisksSocket(config), bounds);
  const clients: NbdClient[] = [];
  const close = async (): Promise<void> => {
    for (const client of clients) client.destroy();
    await own.close();
  };
  try {
    const disks: OwnDisk[] = [];
    for (const link of links) {
      const client = await NbdClient.connect({ path: own.path }, { export: own.exportOf(link) });
      clients.push(client);
      disks.push(ownDisk(link.id, client));
    }
    return { disks, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** The socket of its own disks. QEMU creates it: beside its QMP socket it has created one before. */
export function ownDisksSocket({ vm, qmp, control }: PrimaryConfig): string {
  const folder = path.dirname(qmp.type === 'unix' ? qmp.path : control);
  const names = [`gannet-${vm}.own`, `${vm}.own`, 'gannet.own'];
  return shortSocketPath(folder, ...names) ?? path.join(folder, 'gannet.own');
}

function ownDisk(name: string, client: NbdClient): OwnDisk {
  return {
    name,
    sizeBytes: client.sizeBytes,
    read: (offset, target) => client.readInto(offset, target),
    isZero: async (offset, length) => {
      if (!client.hasBlockStatus) return false;
      let covered = 0;
      for (const extent of await client.blockStatus(offset, length)) {
        if (!extent.zero) return false;
        covered += extent.length;
      }
      return covered >= length;
    },
  };
}
