/** gannet(1), written from the table of commands; man-pages(7) says which sections there are. */
import type { Command } from 'commander';
import { buildProgram } from './cli.js';
import { VERSION } from '../version.js';
import { type ConfigKey, configKeys } from './config-keys.js';
import { type CommandEntry, type OptionEntry, tableOf } from './option-table.js';

/** @returns the page, in the language of man(7) */
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
    'Two hosts run a VM side by side with QEMU\\(aqs COLO; when the host of the primary dies, the secondary carries on.',
    'A daemon on each host holds the protection; the other commands ask the one beside them.',
    '.SH COMMANDS',
    ...tableOf(program).flatMap(commandLines),
    '.SH CONFIGURATION',
    'The keys of /etc/gannet/VM.yaml; sizes are bytes, or numbers with KiB, MiB, GiB, TiB.',
    ...configKeys().flatMap(keyLines),
    ...epilogueOf(program).flatMap(sectionLines),
    '.SH SEE ALSO',
    '.BR qemu (1),',
    '.BR systemd.unit (5)',
  ];
  return `${lines.join('\n')}\n`;
}

/** What --help says behind the commands: paragraphs of `Title:` and indented lines, or of `Title: text`. */
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

/** Nothing in it is taken for a request or an escape; minus signs can be copied. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');
}
