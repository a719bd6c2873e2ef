/** The command that prints completion scripts. */
import { Argument } from 'commander';
import { completionFor, type Shell, SHELLS } from '../completion.js';
import { examplesOf } from '../help.js';
import { tableOf } from '../option-table.js';
import type { Cli } from '../options.js';

export function addCompletion({ program }: Cli): void {
  program
    .command('completion')
    .description('Print a script that completes commands, options and VM names in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', examplesOf('completion'))
    .action((shell: Shell) => {
      process.stdout.write(completionFor(shell, tableOf(program)));
    });
}
