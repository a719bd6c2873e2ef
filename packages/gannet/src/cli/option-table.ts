/** The command line as data, read from the parser, for completion and the manual page. */
import type { Command, Option } from 'commander';

/** An option of a command. */
export interface OptionEntry {
  readonly long: string;
  readonly short: string | undefined;
  /** As in --help: `--timeout <seconds>`. */
  readonly flags: string;
  readonly text: string;
  /** Its value; undefined for a flag. */
  readonly value: ValueEntry | undefined;
  readonly defaultText: string | undefined;
}

/** An argument, or the value of an option. */
export interface ValueEntry {
  readonly name: string;
  readonly choices: readonly string[];
}

/** A command. */
export interface CommandEntry {
  readonly name: string;
  readonly text: string;
  readonly usage: string;
  readonly arguments: readonly ValueEntry[];
  readonly options: readonly OptionEntry[];
}

/** All commands of a program. */
export function tableOf(program: Command): CommandEntry[] {
  return program.commands.map((command) => ({
    name: command.name(),
    text: command.description(),
    usage: `${program.name()} ${command.name()} ${command.usage()}`,
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      choices: argument.argChoices ?? [],
    })),
    options: command.createHelp().visibleOptions(command).map(optionEntry),
  }));
}

function optionEntry(option: Option): OptionEntry {
  const { long, short, flags, description, required, optional, argChoices } = option;
  const defaultValue: unknown = option.defaultValue;
  const takesValue = required || optional;
  const name = /[<[](.+)[>\]]/.exec(flags)?.[1] ?? 'value';
  return {
    long: long ?? flags,
    short,
    flags,
    text: description,
    value: takesValue ? { name, choices: argChoices ?? [] } : undefined,
    defaultText:
      takesValue && defaultValue !== undefined
        ? JSON.stringify(defaultValue).replaceAll('"', '')
        : undefined,
  };
}
