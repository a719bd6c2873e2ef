// Writes docs/reference/errors.md from the code: every error code, what it means and what to do.
//
//   node scripts/docs/errors.mjs [--json]
//
// The codes are the members of the types called *ErrorCode, and the keys of the tables of findings.
// What a code means is the comment on it there; what an error says, and its remedy, are read where
// it is made.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { files, nodesOf, packageOf, push, sitesOf, textsOf } from './source-texts.mjs';

const root = path.resolve(import.meta.dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'reference', 'errors.md');

/**
 * @typedef {import('./source-texts.mjs').Site} Site
 *
 * @typedef {object} ErrorEntry
 * @property {string} code
 * @property {string} from the package that declares it
 * @property {string} meaning
 * @property {Site[]} sites
 * @property {Set<string>} remedies
 */

/** @returns {ErrorEntry[]} */
export function collectErrors() {
  /**
   * By code; two packages may have the same.
   *
   * @type {Map<string, ErrorEntry[]>}
   */
  const codes = new Map();
  for (const { name, tree } of files) {
    for (const alias of nodesOf(tree, ts.isTypeAliasDeclaration)) {
      if (!alias.name.text.endsWith('ErrorCode')) continue;
      for (const [code, meaning] of membersOf(alias, tree)) {
        const from = packageOf(name);
        push(codes, code, { code, from, meaning, sites: [], remedies: new Set() });
      }
    }
  }
  // The lab is not published: an operator never sees its errors.
  for (const { name, tree } of files.filter((file) => packageOf(file.name) !== 'lab')) {
    for (const node of nodesOf(tree, ts.isNewExpression)) {
      const [code, message, remedy] = node.arguments ?? [];
      if (!/Error$/.test(node.expression.getText()) || !message) continue;
      const sites = sitesOf(message, remedy);
      for (const text of textsOf(code)) {
        const entry = pick(codes.get(text), packageOf(name));
        entry?.sites.push(...sites);
        for (const { remedies } of sites) for (const words of remedies) entry?.remedies.add(words);
      }
    }
  }
  for (const [code, remedy] of tableOf('REMEDIES')) {
    for (const entry of codes.get(code) ?? []) entry.remedies.add(remedy);
  }
  return [...codes.values()].flat();
}

/**
 * The daemons make errors of the packages' codes, too.
 *
 * @param {readonly ErrorEntry[] | undefined} entries
 * @param {string | undefined} from
 */
function pick(entries, from) {
  return entries?.find((entry) => entry.from === from) ?? entries?.[0];
}

/**
 * @param {ts.TypeAliasDeclaration} alias
 * @param {ts.SourceFile} tree
 * @returns {Generator<[code: string, meaning: string], void>}
 */
function* membersOf(alias, tree) {
  const members = ts.isUnionTypeNode(alias.type) ? alias.type.types : [alias.type];
  let end = alias.name.end;
  for (const member of members) {
    const before = tree.text.slice(end, member.getStart());
    end = member.end;
    if (!ts.isLiteralTypeNode(member) || !ts.isStringLiteral(member.literal)) continue;
    const comment = /\/\*\*([\s\S]*?)\*\//.exec(before)?.[1] ?? '';
    yield [member.literal.text, comment.replace(/\s*\n\s*\*?\s*/g, ' ').trim()];
  }
}

/**
 * Keys and texts of a table in the code.
 *
 * @param {string} name
 * @returns {[key: string, text: string][]}
 */
function tableOf(name, inFile = '') {
  for (const { name: file, tree } of files) {
    if (!file.includes(inFile)) continue;
    for (const one of nodesOf(tree, ts.isVariableDeclaration)) {
      if (one.name.getText() !== name || !one.initializer) continue;
      // `{ … }`, or `{ … } satisfies T`, or a call around it.
      const [table] = nodesOf(one.initializer, ts.isObjectLiteralExpression);
      const properties = table?.properties.filter((each) => ts.isPropertyAssignment(each)) ?? [];
      return properties.map(({ name: key, initializer }) => {
        const isText = ts.isIdentifier(key) || ts.isStringLiteral(key);
        return [isText ? key.text : key.getText(), textsOf(initializer)[0] ?? ''];
      });
    }
  }
  return [];
}

/** @returns what `gannet check` can find: code and why it matters */
export function collectFindings() {
  return [...tableOf('WHY', 'qmp-driver/'), ...tableOf('WHY', 'gannet/')].sort(byName);
}

/**
 * @param {readonly string[]} a
 * @param {readonly string[]} b
 */
function byName([a = ''], [b = '']) {
  return a < b ? -1 : 1;
}

/** @type {[name: string, title: string][]} */
const PACKAGES = [
  ['contract', 'The command and its daemons'],
  ['replicator', 'Bases, journal and state files'],
  ['qmp-driver', 'What is done to QEMU'],
  ['checkpointer', 'Checkpoints'],
  ['vsmr', 'Checkpoints without COLO'],
  ['nbd', 'The NBD connections'],
  ['qemu-qmp-client', 'The QMP connections'],
];

export function renderPage() {
  const codes = collectErrors();
  const sections = PACKAGES.map(([name, title]) => {
    const own = codes
      .filter(({ from }) => from === name)
      .sort((a, b) => byName([a.code], [b.code]));
    return `## ${title}\n\n${own.map(entryText).join('\n')}`;
  });
  const findings = collectFindings().map(([code, why]) => `| \`${code}\` | ${why} |`);
  return `# Errors

What can go wrong, by the code that \`--json\`, the log and the daemons' events carry. Codes are
stable; the texts are not. Each error also says what to do; below is what it may say. \`…\` and
\`<name>\` stand for names, paths, numbers and messages that are known only at run time.

This page is generated from the code by \`node scripts/docs/errors.mjs\`.

${sections.join('\n')}
## What \`gannet check\` finds

Each finding says what is wrong and what to do. This table says why it matters.

| code | why |
| --- | --- |
${findings.join('\n')}
`;
}

/** @param {ErrorEntry} entry */
function entryText({ code, meaning, sites, remedies }) {
  const rows = /** @type {Set<string>} */ (new Set());
  const told = /** @type {Set<string>} */ (new Set());
  for (const site of sites) {
    const says = site.says.join('; or: ');
    for (const remedy of site.remedies) told.add(remedy);
    if (site.remedies.length > 0)
      rows.add(`| ${inCell(says)} | ${inCell(site.remedies.join(' Or: '))} |`);
  }
  const others = [...remedies].filter((remedy) => !told.has(remedy));
  if (A_BUG.test(meaning)) others.forEach((remedy, at) => (others[at] = withoutBug(remedy)));
  if (rows.size === 0) return `### \`${code}\`\n\n${[meaning, ...others].join(' ')}\n`;
  for (const remedy of others) rows.add(`| any other message | ${inCell(remedy)} |`);
  const table = ['| it says | what to do |', '| --- | --- |', ...[...rows].sort()];
  return `### \`${code}\`\n\n${meaning}\n\n${table.join('\n')}\n`;
}

const A_BUG = /\b(?:mistake|bug) in Gannet\b/;

/**
 * The meaning has said so.
 *
 * @param {string} remedy
 */
function withoutBug(remedy) {
  const [, rest] = /^This is a (?:mistake|bug) in Gannet: (.*)$/.exec(remedy) ?? [];
  return rest === undefined ? remedy : rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** @param {string} text */
function inCell(text) {
  return text.replace(/([<>*_|])/g, '\\$1');
}

/**
 * Codes that errors are made with, or are of, and that no list has: what is added to a list only in
 * part.
 */
export function unlistedCodes() {
  const listed = new Set(collectErrors().map(({ code }) => code));
  const made = files.flatMap(({ tree, name }) => [
    ...[...nodesOf(tree, ts.isNewExpression)]
      .filter(({ expression }) =>
        /^(?!Lab|NbdCommand|Range|Type|Syntax).+Error$/.test(expression.getText()),
      )
      .filter(({ arguments: args }) => (args?.length ?? 0) > 1)
      .flatMap(({ arguments: [code] = [] }) => textsOf(code).map((text) => ({ text, name }))),
    ...[...nodesOf(tree, ts.isPropertyDeclaration)]
      .filter((one) => one.name.getText() === 'code' && /Error$/.test(one.parent.name?.text ?? ''))
      .flatMap(({ initializer }) => textsOf(initializer).map((text) => ({ text, name }))),
  ]);
  return made
    .filter(
      ({ text, name }) =>
        /^[A-Za-z_-]+$/.test(text) && !listed.has(text) && !name.includes('/lab/'),
    )
    .map(({ text, name }) => `${name}: ${text}`);
}

const [, started, how] = process.argv;
if (started === import.meta.filename) {
  const page = renderPage();
  if (how === '--json') {
    const errors = collectErrors().map((entry) => ({ ...entry, remedies: [...entry.remedies] }));
    console.log(
      JSON.stringify({ page, errors, findings: collectFindings(), unlisted: unlistedCodes() }),
    );
  } else writeFileSync(PAGE, page);
}
