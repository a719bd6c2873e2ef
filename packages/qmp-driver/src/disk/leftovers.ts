/** What a process that ended in the middle of protecting has left in QEMU. */
import type { QmpClient, BlockJobInfo } from 'qemu-qmp-client';
import { ColoError, GraphError, step } from '../errors.js';
import type { QueryOptions } from './graph.js';
import { type DiskLink, namesOf, nbdNodesOf } from './disk-link.js';

/**
 * Names of jobs and nodes that have the names which a PrimaryDriver gives; to be taken back with
 * adopt() and rollback() where COLO does not run. A copy that nobody watches would make each write
 * of the guest wait for a peer that hangs.
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 */
export async function leftovers(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions = {},
): Promise<string[]> {
  const found = await step(
    async () => {
      const jobs = await qmp.execute('query-block-jobs', {}, options);
      const nodes = await qmp.execute('query-named-block-nodes', { flat: true }, options);
      return [...jobs.map(({ device }) => device), ...nodes.map((node) => node['node-name'])];
    },
    (words, cause) => {
      const message = `what an earlier daemon has left cannot be looked for: ${words}`;
      const remedy = 'See whether QEMU still answers.';
      return new ColoError('DRIVER_COMMAND_FAILED', message, remedy, { cause });
    },
  );
  const ours = new Set(disks.flatMap((disk) => [namesOf(disk).seedJob, ...nbdNodesOf(disk)]));
  return [...new Set(found.flatMap((name) => name ?? []))].filter((name) => ours.has(name));
}

/**
 * The block jobs that are under way.
 * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
 */
export function blockJobs(
  qmp: QmpClient,
  options: QueryOptions,
): Promise<readonly BlockJobInfo[]> {
  return step(
    () => qmp.execute('query-block-jobs', {}, options),
    (words, cause) => {
      const message = `the block jobs cannot be read: ${words}`;
      const remedy = 'See whether QEMU still answers.';
      return new GraphError('DRIVER_GRAPH_UNSTABLE', message, remedy, { cause });
    },
  );
}
