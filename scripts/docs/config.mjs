// Writes docs/reference/config.md from the schema that checks a configuration: every key with its
// type, range, unit, default and host, what it is for, and an example.
//
//   node scripts/docs/config.mjs [--json]
//
// It reads what was compiled. What is said of a key stands beside it:
// packages/contract/src/config/schema.ts.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'reference', 'config.md');
/**
 * @typedef {import('../../packages/contract/dist/index.js').ConfigKey} Key
 * @typedef {import('../../packages/contract/dist/index.js').ConfigSection} Section
 * @typedef {{[key: string]: any}} Document a part of a file as it is written
 */

/** @type {{configSections: () => Section[]}} */
const { configSections } = await import(path.join(root, 'packages/contract/dist/index.js'));
const { stringify } = createRequire(path.join(root, 'packages', 'contract', 'package.json'))(
  'yaml',
);

/** @type {Readonly<Record<string, string>>} */
const PER_UNIT = { ms: ', in ms', µs: ', in µs', bytes: '', 'bytes a second': ' a second' };

/** A file that has every key, as `example` of each says. */
export function exampleFile(sections = configSections()) {
  /** @type {Document} */
  const file = {};
  for (const { keys } of sections) {
    for (const { key, example } of keys) put(file, key.split('.'), example);
  }
  return file;
}

/**
 * Sets the value of a path such as `network[].netdev`.
 *
 * @param {Document} at
 * @param {readonly string[]} path
 * @param {unknown} value
 */
function put(at, [name = '', ...rest], value) {
  const isList = name.endsWith('[]');
  const bare = isList ? name.slice(0, -2) : name;
  if (rest.length === 0) at[bare] = value;
  else if (isList) put((at[bare] ??= [{}])[0], rest, value);
  else put((at[bare] ??= {}), rest, value);
}

/**
 * A section's own keys, in their place; what belongs to an item of a list has what that item needs.
 *
 * @param {Section} section
 * @param {readonly Section[]} sections
 */
function yamlOf({ name, keys }, sections) {
  /** @type {Document} */
  const file = {};
  const list = /^(.*\[\])\./.exec(name)?.[1];
  const item = sections.find((section) => section.name === list)?.keys ?? [];
  for (const { key, example } of [...item.filter((one) => one.isRequired), ...keys]) {
    put(file, key.split('.'), example);
  }
  return `\`\`\`yaml\n${stringify(file, { lineWidth: 0 })}\`\`\``;
}

/** @param {Key} key */
function typeOf({ form, min, max, unit }) {
  const range =
    min === undefined ? '' : max === undefined ? `, ${min} or more` : `, ${min} to ${max}`;
  return `${form}${PER_UNIT[unit ?? ''] ?? ''}${range}`;
}

/** @param {Key} key */
function defaultOf({ defaultText, fallback, isRequired }) {
  if (fallback !== undefined) return fallback;
  if (defaultText !== undefined) return `\`${defaultText.replace(/^"(.*)"$/, '$1')}\``;
  return isRequired ? '**required**' : 'none';
}

/** @param {Key} key */
function meaningOf({ text, see, reloads }) {
  const notes = [...(see === undefined ? [] : [linkTo(see)]), ...(reloads ? ['*SIGHUP*'] : [])];
  return notes.length === 0 ? text : `${text} (${notes.join('; ')})`;
}

/**
 * @param page its path below docs/
 * @param {string} page
 */
function linkTo(page) {
  return `[${path.basename(page)}](${path.posix.relative('reference', page)})`;
}

/** @param {Key} key */
function rowOf(key) {
  const cells = [`\`${key.key}\``, meaningOf(key), typeOf(key), defaultOf(key), key.host ?? 'both'];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/**
 * @param {Section} section
 * @param {readonly Section[]} sections
 */
function sectionText(section, sections) {
  const { name, text, see, isRequired, keys } = section;
  if (name === '') return tableOf('The file', 'What has no section.', section, sections);
  const more = see === undefined ? '' : `; more in ${linkTo(see)}`;
  const needed = isRequired ? ' Required.' : '';
  const sentence = `${text.charAt(0).toUpperCase()}${text.slice(1)}${more}.${needed}`;
  return keys.length === 0 ? '' : tableOf(`\`${name}\``, sentence, section, sections);
}

/**
 * @param {string} title
 * @param {string} sentence
 * @param {Section} section
 * @param {readonly Section[]} sections
 */
function tableOf(title, sentence, section, sections) {
  const head = ['| key | what it is | type | default | host |', '| --- | --- | --- | --- | --- |'];
  const table = [...head, ...section.keys.map(rowOf)].join('\n');
  return `## ${title}\n\n${sentence}\n\n${yamlOf(section, sections)}\n\n${table}\n`;
}

export function renderPage() {
  const sections = configSections();
  const texts = sections.map((section) => sectionText(section, sections)).filter(Boolean);
  return `# Configuration

One YAML file describes a VM, \`/etc/gannet/VM.yaml\`, on each of its hosts; it may be the same
file. A key that is not here is refused, and so is a value that is not what its row says: the error
names both. \`gannet\` reads the file again with each command; a daemon reads it when it starts, and
the keys marked *SIGHUP* when it gets that signal, too. Commands that ask a daemon need \`vm\` and
\`control\` only: if these two are written plainly, a mistake elsewhere in the file does not
prevent a failover.

- **host**: whose daemon reads the key. A survivor of a failover becomes a primary, and reads that
  section then.
- **required**: within its section, which may be missing unless it says the same of itself.
- **size**: bytes, above 0, or a whole number with \`KiB\`, \`MiB\`, \`GiB\` or \`TiB\`.
- **address**: \`unix:PATH\`, \`tls:HOST:PORT\` (with [\`tls\`](#tls)), or \`HOST:PORT\`, which is
  for loopback unless \`dangerouslyAllowPlaintextBeyondLoopback\` is set; a socket's path may have
  107 bytes.
- \`VM\` and \`NETDEV\` in a default stand for \`vm\` and \`network[].netdev\`; other folders than
  \`/run/gannet\` and \`/var/lib/gannet\`: [places](commands.md#places).

This page is made from the schema that checks the file, by \`node scripts/docs/config.mjs\`.

${texts.join('\n')}`;
}

const [, started, how] = process.argv;
if (started === import.meta.filename) {
  const page = renderPage();
  if (how === '--json') console.log(JSON.stringify({ page, example: exampleFile() }));
  else writeFileSync(PAGE, page);
}
