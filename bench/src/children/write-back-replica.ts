/** A child process: commits pages in random order and writes them back to a base on a slow disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WriteBack } from '@gannet/checkpointer';
import { Replica } from '@gannet/replicator';

export interface WriteBackSettings {
  readonly base: string;
  readonly sizeBytes: number;
}

/** Commits each `stride`th page of the first `spanPages`, and writes them back. */
export interface WriteBackRequest {
  readonly spanPages: number;
  readonly stride: number;
}

export type WriteBackAnswer =
  | { readonly ms: number; readonly bytes: number; readonly writes: number }
  | { readonly error: string };

const PAGE_BYTES = 4096;
const MEMORY = { softBytes: 3 * 2 ** 30, hardBytes: 4 * 2 ** 30 };

async function serve({ base, sizeBytes }: WriteBackSettings): Promise<void> {
  const disks = [{ name: 'disk', base, sizeBytes }];
  const replica = await Replica.open({ vm: 'bench', disks, memory: MEMORY, overwrite: true });
  const writeBack = new WriteBack({
    target: replica,
    clock: {
      now: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
    },
    onEvent: (event) => {
      if (event.kind === 'batch') process.send?.(event);
      else process.send?.({ error: event.error.message });
    },
  });
  process.on('message', (request: WriteBackRequest) => {
    dirty(replica, request);
    replica.gate.close();
    replica.commit();
    replica.gate.open();
    writeBack.kick();
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}

function dirty({ disks }: Replica, { spanPages, stride }: WriteBackRequest): void {
  const page = Buffer.alloc(PAGE_BYTES, 0x5a);
  for (const number of shuffled(spanPages, stride)) {
    disks[0]?.primary.write(number * PAGE_BYTES, page);
  }
}

function shuffled(spanPages: number, stride: number): Uint32Array {
  const numbers = Uint32Array.from(
    { length: Math.floor(spanPages / stride) },
    (_, at) => at * stride,
  );
  for (let at = numbers.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    const kept = numbers[at] ?? 0;
    numbers[at] = numbers[other] ?? 0;
    numbers[other] = kept;
  }
  return numbers;
}

await serve(JSON.parse(process.argv[2] ?? '{}') as WriteBackSettings);
