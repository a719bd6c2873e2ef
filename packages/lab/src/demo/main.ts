/** `make demo`: the demonstration's command line. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { describeError, EXIT } from '@gannet/contract/errors';
import { LabError } from '../errors.js';
import { type DemoOptions, runDemo } from './demo.js';

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('Write a whole number of at least 1.');
  }
  return value;
}

const program = new Command('demo')
  .description('Protects a real VM on this machine, kills it, and shows that the other continues.')
  .exitOverride()
  .option('--json', 'print one JSON document at the end', false)
  .option('--checkpoints <n>', 'checkpoints before the kill', positive, 12)
  .option('--period <ms>', 'time between checkpoints', positive, 1000)
  .option('--disks <n>', 'disks of the VM', positive, 1)
  .addOption(
    new Option('--link <kind>', "how the primary's writes reach the replica").choices([
      'replication',
      'nbd',
    ]),
  )
  .addOption(
    new Option('--engine <name>', 'what makes checkpoints')
      .choices(['colo', 'vsmr'])
      .default('colo'),
  )
  .option('--seed <n>', 'kill at the same moment as the run that printed this seed', positive)
  .addHelpText(
    'after',
    `
Examples:
  make demo                                                takes a minute
  make demo ENGINE=vsmr                                    without COLO
  node packages/lab/dist/demo/main.js --disks 2 --seed 7   two disks, killed at the same moment`,
  );

async function main(): Promise<number> {
  try {
    program.parse();
    return await runDemo(program.opts<DemoOptions>());
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const { message, remedy, exit } = describeError(error);
    // A LabError says in its message what to do.
    const more = error instanceof LabError ? '' : `${remedy}\n`;
    process.stderr.write(`demo: ${message}\n${more}`);
    return EXIT[exit];
  }
}

process.exitCode = await main();
