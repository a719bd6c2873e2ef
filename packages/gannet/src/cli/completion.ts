/** Completion for three shells, written from the table of commands: no process is started when Tab is pressed. */
import type { CommandEntry, OptionEntry, ValueEntry } from './option-table.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionFor(shell: Shell, table: readonly CommandEntry[]): string {
  const script = { bash, zsh, fish }[shell](table);
  return `${shell === 'zsh' ? '#compdef gannet\n' : ''}# Written by \`gannet completion ${shell}\`.\n${script}`;
}

const isFile = ({ name }: ValueEntry): boolean => name === 'file';
const isVm = ({ name }: ValueEntry): boolean => name === 'vm';
const namesOf = ({ long, short }: OptionEntry): string[] => (short ? [short, long] : [long]);
/** In single quotes; all three shells take this way of writing one inside. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function bash(table: readonly CommandEntry[]): string {
  const values = table.flatMap(({ name, options }) =>
    options.flatMap((option) => {
      if (!option.value) return [];
      const words = namesOf(option).map((flag) => `${name},${flag}`);
      const what = isFile(option.value)
        ? '_gannet_files'
        : `_gannet_words ${quoted(option.value.choices.join(' '))}`;
      return [`    ${words.join(' | ')}) ${what}; return ;;`];
    }),
  );
  const commands = table.map(({ name, options, arguments: given }) => {
    const flags = options.flatMap(namesOf).join(' ');
    const words = given.map((one) => (isVm(one) ? '$(_gannet_vms)' : one.choices.join(' ')));
    return `    ${name}) flags=${quoted(flags)} words="${words.join(' ')}" ;;`;
  });
  return `_gannet_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_gannet_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
_gannet_vms() {
  local file
  for file in "\${GANNET_CONFIG_DIR:-/etc/gannet}"/*.yaml; do
    file=\${file##*/}
    [ "$file" = '*.yaml' ] || printf '%s\\n' "\${file%.yaml}"
  done
}
_gannet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command='' flags='' words='' at
  COMPREPLY=()
  # --option=value comes as three words.
  if [ "$cur" = = ]; then cur=''; elif [ "$before" = = ]; then before=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    case \${COMP_WORDS[at]} in -*) ;; *) command=\${COMP_WORDS[at]}; break ;; esac
  done
  case $command,$before in
${values.join('\n')}
  esac
  case $command in
${commands.join('\n')}
    '') flags='--help --version' words=${quoted(table.map(({ name }) => name).join(' '))} ;;
  esac
  case $cur in -*) _gannet_words "$flags" ;; *) _gannet_words "$words" ;; esac
}
complete -F _gannet gannet
`;
}

/** In a specification of _arguments: brackets and colons mean something there. */
const zshText = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');

function zshValue({ name, choices }: ValueEntry): string {
  if (name === 'file') return ':file:_files';
  if (name === 'vm') return ':VM:_gannet_vms';
  return `:${zshText(name)}:${choices.length > 0 ? `(${choices.join(' ')})` : ' '}`;
}

function zsh(table: readonly CommandEntry[]): string {
  const commands = table.map(({ name, text }) => `    ${quoted(`${name}:${zshText(text)}`)}`);
  const cases = table.map(({ name, options, arguments: given }) => {
    const specs = options.flatMap((option) => {
      const rest = `[${zshText(option.text)}]${option.value ? zshValue(option.value) : ''}`;
      const names = namesOf(option);
      return names.map((flag) => quoted(`(${names.join(' ')})${flag}${rest}`));
    });
    for (const [at, one] of given.entries()) specs.push(quoted(`${at + 1}${zshValue(one)}`));
    return `      ${name}) _arguments -s ${specs.join(' \\\n        ')} ;;`;
  });
  return `_gannet_vms() {
  local -a vms=(\${GANNET_CONFIG_DIR:-/etc/gannet}/*.yaml(N:t:r))
  compadd -a vms
}
_gannet() {
  local state line
  local -a commands=(
${commands.join('\n')}
  )
  _arguments -C '(- *)--help[show help]' '(- *)--version[show the version]' '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
if [ "$funcstack[1]" = _gannet ]; then _gannet "$@"; else compdef _gannet gannet; fi
`;
}

function fish(table: readonly CommandEntry[]): string {
  const lines = table.flatMap(({ name, text, options, arguments: given }) => {
    const within = `-n '__fish_seen_subcommand_from ${name}'`;
    const flags = options.map((option) => {
      const short = option.short ? ` -s ${option.short.slice(1)}` : '';
      const flag = `-l ${option.long.slice(2)}${short} -d ${fishText(option.text)}`;
      return `complete -c gannet ${within} ${flag}${option.value ? fishValue(option.value) : ''}`;
    });
    const words = given.map((one) => {
      const what = isVm(one) ? '(__gannet_vms)' : one.choices.join(' ');
      return `complete -c gannet ${within} -a ${fishText(what)}`;
    });
    return [
      `complete -c gannet -n __fish_use_subcommand -a ${name} -d ${fishText(text)}`,
      ...flags,
      ...words,
    ];
  });
  return `function __gannet_vms
    set -q GANNET_CONFIG_DIR; or set -l GANNET_CONFIG_DIR /etc/gannet
    for file in $GANNET_CONFIG_DIR/*.yaml
        basename $file .yaml
    end
end
complete -c gannet -f
complete -c gannet -n __fish_use_subcommand -l help -d 'show help'
complete -c gannet -n __fish_use_subcommand -l version -d 'show the version'
${lines.join('\n')}
`;
}

const fishText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

function fishValue(value: ValueEntry): string {
  if (isFile(value)) return ' -r -F';
  return value.choices.length > 0 ? ` -x -a ${fishText(value.choices.join(' '))}` : ' -x';
}
