/** Two hosts on one machine: each has one of its processors. */
import { cpus } from 'node:os';
import { BenchError, type Scope } from './scope.js';

export type Side = 'primary' | 'secondary';

/** What belongs to a host runs on the processor of that host. */
export async function pin(
  scope: Scope,
  host: Side,
  ...pids: readonly (number | undefined)[]
): Promise<void> {
  if (cpus().length < 2) throw new BenchError('two hosts need two processors');
  for (const pid of pids) {
    if (pid === undefined) throw new BenchError(`a process of the ${host} has ended`);
    const core = host === 'primary' ? '0' : '1';
    await scope.run(['taskset', '--all-tasks', '--pid', '--cpu-list', core, `${pid}`]);
  }
}

/** As gannet-secondary@.service has it. */
export async function raisePriority(scope: Scope, pid: number | undefined): Promise<void> {
  await scope.run(['renice', '--priority', '-10', '--pid', `${pid}`]);
}
