// What a command of the command line asks of a daemon, by the parser that ships.

import { buildProgram } from '#cli/cli.js';

/** As commander has parsed it. */
export interface ParsedCommand {
  readonly name: string;
  readonly vm: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/** @throws CommanderError if there is no such command, or it has no such option */
export function parseCommand(argv: readonly string[]): ParsedCommand {
  let parsed: ParsedCommand | undefined;
  const program = buildProgram({ json: true });
  for (const command of program.commands) {
    const name = command.name();
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    command.action((vm: string | undefined, options: Record<string, unknown>) => {
      parsed = { name, vm, options };
    });
  }
  program.parse([...argv], { from: 'user' });
  if (!parsed) throw new Error(`nothing is parsed of: gannet ${argv.join(' ')}`);
  return parsed;
}
