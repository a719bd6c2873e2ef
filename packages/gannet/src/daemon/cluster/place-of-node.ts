import { stat } from 'node:fs/promises';
import { readStateFile } from '@gannet/replicator';
import { basesOf, type SecondaryConfig } from '@gannet/contract';
import {
  type BaseFound,
  clusterRole,
  type ClusterRoleStep,
  type ClusterRoleView,
  type Worth,
  worthOf,
} from '../arbitration/cluster-role.js';
import { readTermFile } from '../terms/term-store.js';

/** What the cluster knows; the rest is in files of this node. */
export type ClusterKnowledge = Omit<ClusterRoleView, 'worth' | 'own'>;

/**
 * Looks at the disks of this node, which nothing has to use at that time.
 *
 * @throws BaseImageError REPLICA_BASE_FOREIGN if a state file can't be read
 * @throws GannetError GANNET_CONFIG if the term file can't be used
 */
export async function placeOfNode(
  config: SecondaryConfig,
  knowledge: ClusterKnowledge,
): Promise<ClusterRoleStep & { readonly worth: Worth }> {
  const bases = await Promise.all(
    basesOf(config).map(async ({ base, stateFile }): Promise<BaseFound> => {
      const isThere = await stat(base).then(
        () => true,
        () => false,
      );
      const state = await readStateFile(base, stateFile);
      return { isThere, ...(state ? { state } : {}) };
    }),
  );
  const worth = worthOf(bases);
  const own = await readTermFile(config.termFile, config.vm);
  return { ...clusterRole({ ...knowledge, worth, own }), worth };
}
