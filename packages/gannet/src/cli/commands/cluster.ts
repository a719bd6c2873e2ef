/** For the agents of cluster managers. */
import { about, type Cli, type ClusterQuestion, vmCommand } from '../options.js';
import { print } from '../call-daemon.js';

export function addClusterRole(cli: Cli): void {
  const description = 'For cluster agents: what this node may do with its disks of the VM';
  vmCommand(cli, 'cluster-role', description)
    .requiredOption('--node <name>', 'this node, as the cluster calls it')
    .option('--current <name>', 'the node with the newest disks, as the cluster remembers it', '')
    .option('--claim <name>', 'a node that has begun to take over', '')
    .option('--initial <name>', 'the node that has the disks the first time', '')
    .action(
      about(async (options: ClusterQuestion) => {
        const { asSecondary, findConfig } = await import('@gannet/contract');
        const config = asSecondary(await findConfig(options));
        const answer = await cli.daemonCode.clusterRole(config, options);
        if (options.json) return print(options, answer);
        const lines = Object.entries(answer).map(([key, value]) => `${key}=${value}\n`);
        process.stdout.write(lines.join(''));
      }),
    );
}
