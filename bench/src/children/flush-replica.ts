/**
 * A child process: a replica that has failed over, whose guest writes and flushes without pause. It
 * reports how long requests take, by how many flushes there have been.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WriteBack } from '@gannet/checkpointer';
import { Replica } from '@gannet/replicator';
import type { PeerInfo } from '@gannet/nbd';
import { quantile } from '../harness/stats.js';

export interface FlushSettings {
  readonly base: string;
  readonly journal: string;
  readonly sizeBytes: number;
  /** Ascending: after so many flushes it reports those of the last tenth. */
  readonly reportsAt: readonly number[];
}

export interface FlushReport {
  readonly flushes: number;
  readonly flushP50Us: number;
  readonly flushP99Us: number;
  readonly readP50Us: number;
  readonly readP99Us: number;
  readonly epochs: number;
}

const PAGE_BYTES = 4096;
const READ_BYTES = 64 * 1024;
/** One read for so many flushes. */
const FLUSHES_PER_READ = 10;
const PEER: PeerInfo = { id: 1, address: 'unix:bench', transport: 'unix' };

async function serve({ base, journal, sizeBytes, reportsAt }: FlushSettings): Promise<void> {
  const disks = [{ name: 'disk', base, sizeBytes }];
  const options = { vm: 'bench', disks, journalPath: journal, overwrite: true };
  const replica = await Replica.open(options);
  const writeBack = new WriteBack({
    target: replica,
    clock: {
      now: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
    },
  });
  replica.on((event) => {
    if (event.kind === 'backlog') writeBack.kick();
  });
  replica.gate.close();
  replica.commit();
  replica.failOver();
  replica.gate.open();
  await replica.failoverDurable();
  const guest = await replica.exports.find(({ name }) => name === 'svm')?.open(PEER);
  if (!guest) throw new Error('no export for the guest');
  const pages = sizeBytes / PAGE_BYTES;
  const [page, read] = [Buffer.alloc(PAGE_BYTES), Buffer.alloc(READ_BYTES)];
  let [flushUs, readUs]: [number[], number[]] = [[], []];
  let last = 0;
  const timed = async (into: number[], work: () => void | Promise<void>): Promise<void> => {
    const begunMs = performance.now();
    await work();
    into.push(1000 * (performance.now() - begunMs));
  };
  for (let done = 1; done <= (reportsAt.at(-1) ?? 0); done++) {
    page.fill(done & 0xff);
    await timed(flushUs, async () => {
      await guest.write(Math.floor(Math.random() * pages) * PAGE_BYTES, page, false);
      await guest.flush();
    });
    if (done % FLUSHES_PER_READ === 0) {
      const offset = Math.floor(Math.random() * (pages - READ_BYTES / PAGE_BYTES)) * PAGE_BYTES;
      await timed(readUs, () => guest.read(offset, read));
    }
    if (!reportsAt.includes(done)) continue;
    const from = Math.max(last, done - Math.ceil(done / 10));
    const [flushes, reads] = [flushUs.slice(from - last), readUs].map((all) =>
      [...all].sort((a, b) => a - b),
    ) as [number[], number[]];
    const report: FlushReport = {
      flushes: done,
      flushP50Us: quantile(flushes, 0.5),
      flushP99Us: quantile(flushes, 0.99),
      readP50Us: quantile(reads, 0.5),
      readP99Us: quantile(reads, 0.99),
      epochs: replica.disks[0]?.committed.length ?? 0,
    };
    process.send?.(report);
    [flushUs, readUs] = [[], []];
    last = done;
  }
  await writeBack.stop();
  await replica.close();
  process.disconnect();
}

process.on('disconnect', () => process.exit());
await serve(JSON.parse(process.argv[2] ?? '{}') as FlushSettings);
