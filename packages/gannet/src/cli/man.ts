/** gannet(1), generated from the parser; its sections follow man-pages(7). */
import type { Command } from 'commander';
import { buildProgram } from './cli.js';
import { VERSION } from '../version.js';
import { type ConfigKey, configKeys } from '@gannet/contract';
import { type CommandEntry, type OptionEntry, tableOf } from './option-table.js';

/** @returns the page, in the macros of man(7) */
export function manPage(): string {
  const program = buildProgram();
  const description = program.description().replace(/\.$/, '');
  const lines = [
    `.TH GANNET 1 "" "gannet ${VERSION}" "User Commands"`,
    '.SH NAME',
    `gannet \\- ${roff(description)}`,
    '.SH SYNOPSIS',
    '.B gannet',
    '.I COMMAND',
    '.RI [ VM ]',
    '.RI [ OPTION ]...',
    '.SH DESCRIPTION',
    'Two hosts run the same VM with QEMU\\(aqs COLO.',
    'If the host of the primary VM fails, the secondary VM takes over from the last checkpoint.',
    'A daemon runs on each host. The other commands talk to the daemon on the same host.',
    '.SH COMMANDS',
    ...tableOf(program).flatMap(commandLines),
    '.SH CONFIGURATION',
    'The keys of /etc/gannet/VM.yaml. Sizes are bytes, or whole numbers with KiB, MiB, GiB or TiB.',
    ...configKeys().flatMap(keyLines),
    ...epilogueOf(program).flatMap(sectionLines),
    '.SH SEE ALSO',
    '.BR qemu (1),',
    '.BR systemd.unit (5)',
  ];
  return `${lines.join('\n')}\n`;
}

/** The paragraphs after the commands in --help: `Title:` and indented lines, or `Title: text`. */
function epilogueOf(program: Command): string[] {
  let help = '';
  program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help.slice(help.indexOf('\nExamples:')).trim().split('\n\n');
}

function commandLines({ name, text, usage, options }: CommandEntry): string[] {
  const shown = options.filter(({ long }) => long !== '--help');
  return [
    `.SS ${name}`,
    `.B ${roff(usage)}`,
    '.PP',
    `${roff(text)}.`,
    ...shown.flatMap(optionLines),
  ];
}

function optionLines({ flags, text, value, defaultText }: OptionEntry): string[] {
  const notes = [
    ...(value && value.choices.length > 0 ? [`one of ${value.choices.join(', ')}`] : []),
    ...(defaultText === undefined ? [] : [`default: ${defaultText}`]),
  ];
  return [
    '.TP',
    `.B ${roff(flags)}`,
    roff(notes.length > 0 ? `${text} (${notes.join('; ')})` : text),
  ];
}

function sectionLines(paragraph: string): string[] {
  const [, title = '', rest = ''] = /^([^:]+):\s*([^]*)$/.exec(paragraph) ?? [];
  const heading = /^exit/i.test(title)
    ? 'EXIT STATUS'
    : (title.split(/[ ,]/)[0] ?? '').toUpperCase();
  const lines = rest.split('\n');
  if (lines.length === 1) return [`.SH ${heading}`, roff(rest)];
  return [`.SH ${heading}`, '.nf', ...lines.map((line) => roff(line.trim())), '.fi'];
}

function keyLines({ key, text, defaultText, fallback, choices }: ConfigKey): string[] {
  const usual = fallback ?? defaultText;
  const notes = [
    ...(choices.length > 0 ? [`one of ${choices.join(', ')}`] : []),
    ...(usual === undefined ? [] : [`default: ${usual}`]),
  ];
  return ['.TP', `.B ${roff(key)}`, roff([text, ...notes].join('; ').replaceAll('`', ''))];
}

/** Escapes text, so that it has no requests or escapes; minus signs stay copyable. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');
}
