import { lstat } from 'node:fs/promises';
import { readStateFile } from '@gannet/replicator';
import { basesOf, GannetError, type SecondaryConfig } from '@gannet/contract';

/**
 * A failover starts its journal from scratch. What lies at that path may be the journal of an
 * earlier failover of this VM, to other bases, that is still to be recovered: then it holds the
 * only copy of what the guest had flushed (I4).
 *
 * @throws GannetError GANNET_REFUSED unless the journal is that of these bases, whose own state
 *   says what they are worth
 */
export async function refuseForeignJournal(config: SecondaryConfig): Promise<void> {
  const { journal, overwrite } = config.secondary;
  if (overwrite || !(await lstat(journal).catch(() => undefined))) return;
  for (const { base, stateFile } of basesOf(config)) {
    const record = await readStateFile(base, stateFile);
    if (record?.journal === journal) return;
  }
  throw new GannetError(
    'GANNET_REFUSED',
    `${journal} is there, and none of the bases of ${config.vm} knows it: other bases may need it`,
    'Recover those with `gannet recover`. If nobody needs it, remove it, or use --overwrite.',
    'refused',
  );
}
