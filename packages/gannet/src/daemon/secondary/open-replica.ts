import { lstat } from 'node:fs/promises';
import { JournalLock, readStateFile, Replica, ReplicatorError } from '@gannet/replicator';
import { basesOf, GannetError, type SecondaryConfig, type TermRecord } from '@gannet/contract';
import { outdatedLastCommit } from '../arbitration/may-recover.js';

/**
 * Opens the replica of a configuration, and takes its journal's path for as long as it runs.
 *
 * @throws JournalError REPLICA_JOURNAL_IN_USE if another process has the journal
 * @param own what this side said last of its copy
 * @throws GannetError GANNET_REFUSED if a journal is there that other bases may need, or the bases
 *   hold a last commit that is outdated
 * @throws ReplicatorError as Replica.open()
 */
export async function openReplica(
  config: SecondaryConfig,
  own: TermRecord,
): Promise<{ readonly replica: Replica; readonly lock: JournalLock }> {
  const { memory, snapshot, journal, overwrite } = config.secondary;
  const lock = await JournalLock.take(journal);
  try {
    await refuseForeignJournal(config);
    const replica = await Replica.open({
      vm: config.vm,
      disks: basesOf(config),
      lockBases: true,
      journalPath: journal,
      overwrite,
      snapshot: {
        ...(snapshot?.directory === undefined ? {} : { directory: snapshot.directory }),
        ...(snapshot?.limit === undefined ? {} : { limitBytes: snapshot.limit }),
      },
      memory: {
        ...(memory?.soft === undefined ? {} : { softBytes: memory.soft }),
        ...(memory?.hard === undefined ? {} : { hardBytes: memory.hard }),
        onFull: memory?.onFull,
        spillDirectory: memory?.spillDirectory,
        spillBytes: memory?.spillLimit,
      },
    });
    return { replica, lock };
  } catch (error) {
    await lock.release();
    const isLastCommit =
      error instanceof ReplicatorError && error.code === 'REPLICA_BASE_LAST_COMMIT';
    if (!isLastCommit || own.word !== 'outdated') throw error;
    throw outdatedLastCommit(config.vm, own.term, error);
  }
}

/**
 * A replica gives up the journal before it. What is at that path may be the journal of an
 * earlier failover of this VM, to other bases, that is still to be recovered: then it holds the
 * only copy of what the guest had flushed (I4).
 *
 * @throws GannetError GANNET_REFUSED unless the journal is that of these bases, whose own state
 *   says what they are worth
 */
async function refuseForeignJournal(config: SecondaryConfig): Promise<void> {
  const { journal, overwrite } = config.secondary;
  if (overwrite || !(await lstat(journal).catch(() => undefined))) return;
  for (const { base, stateFile } of basesOf(config)) {
    const record = await readStateFile(base, stateFile);
    if (record?.journal === journal) return;
  }
  throw new GannetError(
    'GANNET_REFUSED',
    `${journal} is there, and none of the bases of ${config.vm} knows it: other bases may need it`,
    'Recover those with `gannet recover`, named by their own configuration. If nobody needs the ' +
      'journal, remove it, or start this daemon with --overwrite.',
    'refused',
  );
}
