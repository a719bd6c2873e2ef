/**
 * A child process: Gannet's primary export alone, as `gannet secondary` wires it, with checkpoints
 * by the clock and write-back. A replica accepts one primary, so the parent asks for a new one
 * before each client.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource, WriteBack } from '@gannet/checkpointer';
import { type NbdExport, NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';
import type { Endpoint } from '../harness/ports.js';

export interface ExportSettings {
  readonly endpoint: Endpoint;
  readonly base: string;
  readonly sizeBytes: number;
  readonly commitMs: number;
}

/** `fill`: the open epoch holds all of the disk, as if the primary had written it. */
export interface Renewal {
  readonly fill: boolean;
}

export interface Report {
  readonly state: string;
  readonly reason: string;
  readonly commits: number;
}

/** fio connects twice, first to ask for the size: its client is the one that stays. */
const SETTLED_MS = 100;
const CHUNK_BYTES = 1024 * 1024;
const clock = {
  now: () => performance.now(),
  sleep: (ms: number, signal?: AbortSignal) => sleep(ms, undefined, signal ? { signal } : {}),
};

class Served {
  readonly source = new ExternalSource();
  readonly writeBack: WriteBack;
  readonly exports: readonly NbdExport[];
  commits = 0;
  #timer: NodeJS.Timeout | undefined;
  #isFilled = false;

  constructor(
    readonly replica: Replica,
    private readonly renewal: Renewal,
    private readonly commitMs: number,
  ) {
    const { source } = this;
    new Checkpointer({ source, replica, now: clock.now }).start();
    this.writeBack = new WriteBack({ target: replica, clock });
    replica.on(({ kind }) => {
      if (kind === 'backlog') this.writeBack.kick();
      if (kind === 'memory-pressure') setImmediate(() => this.#commit());
    });
    this.exports = replica.exports.map((each) => ({
      ...each,
      open: async (peer) => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#begin(), SETTLED_MS);
        const session = await each.open(peer);
        // fio drops its first connection once it knows the size: before a commit that is no loss.
        const close = session.close.bind(session);
        session.close = (end) => close(this.commits === 0 ? { kind: 'disconnect' } : end);
        return session;
      },
    }));
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.writeBack.stop();
    await this.replica.close();
  }

  /** The first commit needs a primary; from then on they come by the clock. */
  #begin(): void {
    this.#commit();
    if (!this.renewal.fill) this.#timer = setInterval(() => this.#commit(), this.commitMs);
  }

  #commit(): void {
    const { replica, source } = this;
    // Its client has left: nothing commits any more.
    const { link, state } = replica;
    if (!link.isConnected || link.loss !== undefined || state === 'diverged') return;
    source.seal();
    source.commit();
    this.commits++;
    if (this.renewal.fill && !this.#isFilled) this.#fill();
  }

  #fill(): void {
    this.#isFilled = true;
    const chunk = Buffer.alloc(CHUNK_BYTES, 0x5a);
    for (const disk of this.replica.disks) {
      for (let at = 0; at < disk.sizeBytes; at += CHUNK_BYTES) disk.primary.write(at, chunk);
    }
  }
}

async function serve({ endpoint, base, sizeBytes, commitMs }: ExportSettings): Promise<void> {
  let served: Served | undefined;
  const server = new NbdServer({
    exports: () => served?.exports ?? [],
    busyPollMs: 0.1,
    admission: { admit: (apply) => served?.replica.gate.admit(apply) },
  });
  await server.listen(
    endpoint.transport === 'unix'
      ? { path: endpoint.path }
      : { host: '127.0.0.1', port: endpoint.port },
  );
  const renew = async (renewal: Renewal): Promise<void> => {
    await served?.close();
    const disks = [{ name: 'disk', base, sizeBytes }];
    const replica = await Replica.open({ vm: 'bench', disks, overwrite: true });
    served = new Served(replica, renewal, commitMs);
  };
  process.on('message', (message: { renew?: Renewal }) => {
    const done = message.renew ? renew(message.renew) : Promise.resolve();
    void done.then(
      () => process.send?.({ report: reportOf(served) }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}

function reportOf(served: Served | undefined): Report {
  const { state = 'none', reason = '' } = served?.replica ?? {};
  return { state, reason, commits: served?.commits ?? 0 };
}

await serve(JSON.parse(process.argv[2] ?? '{}') as ExportSettings);
