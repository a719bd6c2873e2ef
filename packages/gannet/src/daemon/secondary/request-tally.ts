import type { ConnectionInfo, NbdServerEvent } from '@gannet/nbd';

interface Tally {
  readonly requests: number;
  /** From the primary's QEMU; the secondary's is on this host. */
  readonly receivedBytes: number;
}

const NOTHING: Tally = { requests: 0, receivedBytes: 0 };

/**
 * Counts the NBD requests of each disk, and what came over the link for it, of connections that
 * have ended too: a counter never goes back.
 */
export class RequestTally {
  readonly #names: readonly string[];
  readonly #ended = new Map<string, Tally>();
  readonly #endedPeers = new Set<number>();

  constructor(
    disks: readonly { readonly name: string }[],
    private readonly connections: () => readonly ConnectionInfo[],
  ) {
    this.#names = disks.map(({ name }) => name);
  }

  note(event: NbdServerEvent): void {
    if (event.kind !== 'ended') return;
    const all = this.connections();
    const gone = all.find(({ peer }) => peer.id === event.peer.id);
    const disk = gone && this.#diskOf(gone);
    if (!gone || disk === undefined) return;
    this.#ended.set(disk, sum(this.#ended.get(disk) ?? NOTHING, gone));
    // It stays among the connections until its socket has closed.
    for (const id of this.#endedPeers) {
      if (!all.some(({ peer }) => peer.id === id)) this.#endedPeers.delete(id);
    }
    this.#endedPeers.add(gone.peer.id);
  }

  of(disk: string): Tally {
    return this.connections()
      .filter((info) => !this.#endedPeers.has(info.peer.id) && this.#diskOf(info) === disk)
      .reduce(sum, this.#ended.get(disk) ?? NOTHING);
  }

  /** Exports are named `pvm`, `svm` and the like, behind `DISK-` where there are several disks. */
  #diskOf({ exportName }: ConnectionInfo): string | undefined {
    if (exportName === undefined) return undefined;
    if (this.#names.length === 1) return this.#names[0];
    return this.#names.find(
      (name) => /^-[ps]vm(-|$)/.test(exportName.slice(name.length)) && exportName.startsWith(name),
    );
  }
}

function sum({ requests, receivedBytes }: Tally, info: ConnectionInfo): Tally {
  const isLocal = /(^|-)svm$/.test(info.exportName ?? '');
  return {
    requests: requests + info.requests,
    receivedBytes: receivedBytes + (isLocal ? 0 : info.receivedBytes),
  };
}
