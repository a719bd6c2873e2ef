import { type QmpClient, QmpTimeoutError } from 'qemu-qmp-client';
import { GannetError } from '@gannet/contract';

export interface OwnQemu {
  readonly name: string;
  readonly qmp: QmpClient | undefined;
  /** For each answer. */
  readonly patienceMs: number;
  /** Cuts its links to the other host, out-of-band. */
  readonly cut: () => Promise<void>;
}

/**
 * Asks a QEMU whether it lives. One that hangs does so, most likely, on the very links to the other host that are to go:
 * they are cut, and it is asked again.
 *
 * @returns false where it has ended: there is nothing that could run on
 * @throws GannetError TIMEOUT where it hangs all the same
 */
export async function isResponding(vm: OwnQemu): Promise<boolean> {
  const before = await ask(vm);
  if (before !== 'hung') return before === 'alive';
  // Should it fail, the next answer says what is the matter.
  await vm.cut().catch(() => undefined);
  const health = await ask(vm);
  if (health !== 'hung') return health === 'alive';
  throw new GannetError(
    'TIMEOUT',
    `the QEMU of ${vm.name} did not answer query-status in ${vm.patienceMs} ms, its links cut`,
    'See what its process waits for. If it is lost, `gannet failover` on the secondary host.',
    'timeout',
  );
}

async function ask({ qmp, patienceMs }: OwnQemu): Promise<'alive' | 'hung' | 'dead'> {
  try {
    await qmp?.execute('query-status', undefined, { timeoutMs: patienceMs });
    return 'alive';
  } catch (error) {
    return error instanceof QmpTimeoutError ? 'hung' : 'dead';
  }
}
