/**
 * A child process: a replica whose checkpoints come from a QMP socket, as in `gannet secondary`. It
 * dirties pages on request. For each commit it reports how long its gate was closed, and how long a
 * round trip on that socket took.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, type CheckpointEvent, ColoSource, WriteBack } from '@gannet/checkpointer';
import { NbdServer, type PeerInfo } from '@gannet/nbd';
import { QmpColoMonitor } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import { QmpClient } from 'qemu-qmp-client';

export interface GateSettings {
  readonly nbdPath: string;
  readonly qmpPath: string;
  readonly base: string;
  readonly sizeBytes: number;
  /** Otherwise what is committed is dropped. */
  readonly isWrittenBack: boolean;
  /** What the base holds from the beginning; nobody writes there. */
  readonly dataAt: number;
  readonly dataBytes: number;
}

/** To the child. */
export type GateRequest =
  | { readonly kind: 'status' }
  | { readonly kind: 'dirty'; readonly pages: number }
  | { readonly kind: 'read' }
  | { readonly kind: 'round-trip' };

/** From the child; `commit` comes unasked. */
export type GateAnswer =
  | { readonly kind: 'status'; readonly isConnected: boolean; readonly state: string }
  | { readonly kind: 'dirty' }
  | { readonly kind: 'read'; readonly ms: number }
  | { readonly kind: 'round-trip'; readonly ms: number }
  | {
      readonly kind: 'commit';
      readonly gateClosedMs: number;
      readonly commitMs: number;
      readonly pages: number;
    }
  | { readonly kind: 'trouble'; readonly reason: string };

const PAGE_BYTES = 4096;
const SLICE_PAGES = 256;
const MEMORY = { softBytes: 14 * 2 ** 30, hardBytes: 15 * 2 ** 30 };

async function serve(settings: GateSettings): Promise<void> {
  const { nbdPath, qmpPath, base, sizeBytes, isWrittenBack } = settings;
  const replica = await Replica.open({
    vm: 'bench',
    disks: [{ name: 'disk', base, sizeBytes }],
    memory: MEMORY,
    overwrite: isWrittenBack,
  });
  const exports = replica.exports.map((each) => ({
    ...each,
    open: async (peer: PeerInfo) => {
      const session = await each.open(peer);
      // fio drops its first connection once it knows the size: before a commit that is no loss.
      const close = session.close.bind(session);
      session.close = (end) => close(replica.epoch === 0 ? { kind: 'disconnect' } : end);
      return session;
    },
  }));
  const server = new NbdServer({ exports, admission: replica.gate });
  await server.listen({ path: nbdPath });
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: qmpPath } });
  const monitor = new QmpColoMonitor(qmp);
  const writeBack = new WriteBack({
    target: replica,
    clock: {
      now: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
    },
  });
  let commitMs = 0;
  new Checkpointer({
    source: new ColoSource(monitor),
    replica: {
      gate: replica.gate,
      link: replica.link,
      commit: () => {
        const begunMs = performance.now();
        const result = replica.commit();
        commitMs = performance.now() - begunMs;
        return result;
      },
      failOver: () => replica.failOver(),
      diverge: (reason) => replica.diverge(reason),
      outdate: (reason) => replica.outdate(reason),
      secondaryRuns: (isRunning) => replica.secondaryRuns(isRunning),
    },
    now: () => performance.now(),
    onEvent: (event) => {
      tell(answerTo(event, commitMs));
      // In memory, a base would be half of it.
      if (isWrittenBack) writeBack.kick();
      else setImmediate(() => replica.nextBatch()?.finish());
    },
  }).start();
  process.on('message', (request: GateRequest) => {
    if (request.kind === 'status') {
      const { link, state } = replica;
      tell({ kind: 'status', isConnected: link.isConnected, state });
    } else if (request.kind === 'dirty') {
      void dirty(replica, request.pages).then(() => tell({ kind: 'dirty' }));
    } else if (request.kind === 'read') {
      void readBase(replica, settings).then((ms) => tell({ kind: 'read', ms }));
    } else {
      const begunMs = performance.now();
      monitor.queryColoStatus(() => {
        tell({ kind: 'round-trip', ms: performance.now() - begunMs });
      });
    }
  });
  process.on('disconnect', () => process.exit());
}

/** As if the primary had written them; others get a turn in between. */
async function dirty({ disks }: Replica, pages: number): Promise<void> {
  const [disk] = disks;
  const page = Buffer.alloc(PAGE_BYTES, 0x5a);
  for (let done = 0; disk && done < pages; done += SLICE_PAGES) {
    const end = Math.min(pages, done + SLICE_PAGES);
    for (let at = done; at < end; at++) disk.primary.write(at * PAGE_BYTES, page);
    await turn();
  }
}

/** As the secondary's guest: a page of the base. @returns milliseconds */
async function readBase(
  { disks: [disk] }: Replica,
  { dataAt, dataBytes }: GateSettings,
): Promise<number> {
  const page = Math.floor((Math.random() * dataBytes) / PAGE_BYTES);
  const begunMs = performance.now();
  await disk?.read(disk.secondary, dataAt + page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
  return performance.now() - begunMs;
}

function answerTo(event: CheckpointEvent, commitMs: number): GateAnswer {
  if (event.kind !== 'commit') return { kind: 'trouble', reason: JSON.stringify(event) };
  return {
    kind: 'commit',
    gateClosedMs: event.gateClosedMs,
    commitMs,
    pages: event.committedPages,
  };
}

function tell(answer: GateAnswer): void {
  process.send?.(answer);
}

await serve(JSON.parse(process.argv[2] ?? '{}') as GateSettings);
