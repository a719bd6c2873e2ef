/** QEMU's `key=value,…` (util/keyval.c): a comma in a value is doubled, switches are on and off. */
export type OptionValue = string | number | boolean;

export function optionText(entries: Iterable<readonly [string, OptionValue]>): string {
  return [...entries].map(([key, value]) => `${key}=${valueText(value)}`).join(',');
}

function valueText(value: OptionValue): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value).replaceAll(',', ',,');
}

const PLAIN = /^[\w@%+=:,./-]+$/;

/** A command for a POSIX shell, an option and its value on a line. */
export function shellText(command: readonly string[]): string {
  const words = command.map((word) =>
    PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  );
  return words
    .map((word, index) => {
      if (index === 0) return word;
      return command[index]?.startsWith('-') === true ? ` \\\n  ${word}` : ` ${word}`;
    })
    .join('');
}
