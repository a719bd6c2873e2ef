import { runCommand } from './cli/cli.js';

/**
 * The `gannet` command: joins it with the daemon, which it loads only if the command needs it.
 *
 * @param argv the arguments, without node and script
 * @returns the exit code (docs/reference/commands.md)
 */
export function main(argv: readonly string[]): Promise<number> {
  return runCommand(argv, {
    serve: async (options, role) => {
      const { serve } = await import('./daemon/serve.js');
      await serve(options, role);
    },
    askPeer: async (config) => {
      const { askPeer } = await import('./daemon/peer/ask-peer.js');
      return askPeer(config);
    },
    refuseOutdated: async (config) => {
      const { refuseOutdated } = await import('./daemon/terms/refuse-outdated.js');
      await refuseOutdated(config);
    },
    clusterRole: async (config, { node, current, claim, initial }) => {
      const { placeOfNode } = await import('./daemon/cluster/place-of-node.js');
      return placeOfNode(config, { node, current, claim, initial });
    },
  });
}
