// Writes docs/reference/api/: what each package exports, a page a package, from the declarations
// that the compiler has written and the comments in them.
//
//   node scripts/docs/api.mjs [--json]
//
// It reads what was compiled. The ~300 commands of QMP are left out: their types are QEMU's own
// schema.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import prettier from 'prettier';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '..', '..');
const FOLDER = path.join(root, 'docs', 'reference', 'api');
const style = await prettier.resolveConfig(path.join(root, 'package.json'));

/**
 * @typedef {'Classes' | 'Functions' | 'Types' | 'Errors' | 'Constants'} Kind
 * @typedef {{folder: string, leftOut?: RegExp}} Package
 * @typedef {{name: string, symbol: ts.Symbol}} Exported
 * @typedef {{name: string, kind: Kind, text: string, code: string, from: string}} Entry
 *
 * @typedef {object} Module What one entry point of a package has.
 * @property {string} entry
 * @property {string[]} parts sections of the page
 * @property {Entry[]} told
 * @property {number} rest how many exports are only counted
 * @property {string} from the folder of those
 */

/**
 * In the order in which they build on each other; `leftOut` are files whose exports are only
 * counted.
 *
 * @type {Package[]}
 */
const PACKAGES = [
  { folder: 'qemu-qmp-client', leftOut: /\/src\/(schema|generated)\// },
  { folder: 'nbd' },
  { folder: 'replicator' },
  { folder: 'checkpointer' },
  { folder: 'vsmr' },
  { folder: 'qmp-driver' },
  { folder: 'contract' },
  { folder: 'gannet' },
];
/** @type {Kind[]} */
const KINDS = ['Classes', 'Functions', 'Types', 'Errors', 'Constants'];
/** A type that was inferred may be hundreds of lines of a library's own. */
const CONSTANT_LINES_MAX = 12;

/** @typedef {Record<string, {types: string}>} Entries */
/** @typedef {{name: string, description: string, exports: Entries}} Manifest */
/** @type {Map<string, Manifest>} */
const manifests = new Map(
  PACKAGES.map(({ folder }) => {
    const file = path.join(root, 'packages', folder, 'package.json');
    return [folder, JSON.parse(readFileSync(file, 'utf8'))];
  }),
);
/** @param {string} folder */
function manifestOf(folder) {
  const manifest = manifests.get(folder);
  if (manifest === undefined) throw new Error(`no package ${folder}`);
  return manifest;
}

const entries = PACKAGES.flatMap(({ folder }) => {
  return Object.entries(manifestOf(folder).exports).map(([name, { types }]) => {
    return { folder, name, file: path.join(root, 'packages', folder, types) };
  });
});
const program = ts.createProgram(
  entries.map(({ file }) => file),
  { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, skipLibCheck: true },
);
const checker = program.getTypeChecker();

/**
 * it
 *
 * @param {ts.Symbol} module
 * @param {string} above the namespace that it is in, with a dot
 * @returns {Exported[]} what a module exports; of a namespace, what is in it
 */
function exportsOf(module, above = '') {
  return checker.getExportsOfModule(module).flatMap((found) => {
    const isAlias = (found.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? checker.getAliasedSymbol(found) : found;
    const name = above + found.name;
    const isNamespace = (symbol.flags & ts.SymbolFlags.ValueModule) !== 0;
    return isNamespace ? exportsOf(symbol, `${name}.`) : [{ name, symbol }];
  });
}

/** @param {Exported} one */
function firstOf({ name, symbol }) {
  const [first] = symbol.declarations ?? [];
  if (first === undefined) throw new Error(`${name} is declared nowhere`);
  return first;
}

/** @param {ts.Node} declaration */
function sourceOf(declaration) {
  const compiled = path.relative(root, declaration.getSourceFile().fileName);
  return `/${compiled.replace('/dist/', '/src/').replace(/\.d\.ts$/, '.ts')}`;
}

/**
 * @param {string} name
 * @param {ts.Declaration} declaration
 * @returns {Kind}
 */
function kindOf(name, declaration) {
  if (/(?<!Oracle)Error(Code)?$/.test(name)) return 'Errors';
  if (ts.isClassDeclaration(declaration)) return 'Classes';
  if (ts.isFunctionDeclaration(declaration)) return 'Functions';
  return ts.isVariableDeclaration(declaration) ? 'Constants' : 'Types';
}

/**
 * A constant's comment and words are those of its statement.
 *
 * @param {ts.Declaration} declaration
 * @returns {ts.Node}
 */
function statementOf(declaration) {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
}

/**
 * The comment that belongs to a declaration, without its stars: text, then `@tag …` paragraphs.
 *
 * @param {ts.Node} node
 */
function commentOf(node) {
  const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const raw = docs.at(-1)?.getText() ?? '';
  const lines = raw.replace(/^\/\*\*|\*\/$/g, '').split('\n');
  return lines
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim();
}

/**
 * `{@link X}` and tags as a page has them.
 *
 * @param {string} comment
 */
function prose(comment) {
  const text = comment.replace(/\{@link ([^}]+)\}/g, '`$1`');
  const [before = '', ...tags] = text.split(/(?<=^|\s)@(?=(?:param|returns|throws|example)\b)/);
  const told = tags.map((tag) => {
    const [, name, rest = ''] = /^(\w+)\s*([^]*)$/.exec(tag.trim()) ?? [];
    if (name === 'example') return `\nFor example:\n\n\`\`\`ts\n${rest}\n\`\`\``;
    const words = rest.replace(/\s*\n\s*/g, ' ');
    if (name === 'param') return `- ${words.replace(/^(\S+)\s+(?:- )?/, '`$1`: ')}`;
    return `- *${name}*${words === '' ? '' : ` ${words}`}`;
  });
  return [before.trim(), told.join('\n').trim()].filter((part) => part !== '').join('\n\n');
}

/**
 * A declaration as a reader wants it: no comment above it, nothing private, in our own style.
 *
 * @param {readonly ts.Declaration[]} declarations
 * @param {string} name
 */
async function codeOf(declarations, name) {
  const texts = declarations.map((declaration) => {
    const node = statementOf(declaration);
    const text = node.getText().replace(/^ *(static )?#private;\n?/gm, '');
    return text
      .replace(/^(?:export )?(?:declare )?/, '')
      .replace(/^ *private (?:static )?(?:readonly )?\w+[^;]*;\n?/gm, '');
  });
  const bare = texts.join('\n');
  const code = (await prettier.format(bare, { ...style, parser: 'typescript' })).trim();
  const isLong = code.split('\n').length > CONSTANT_LINES_MAX;
  if (!isLong || !declarations[0] || !ts.isVariableDeclaration(declarations[0])) return code;
  return `const ${name.split('.').at(-1)}: ${/: ([\w.]+)/.exec(code)?.[1] ?? ''}<…>;`;
}

/**
 * @param {Exported} one
 * @param {string} folder
 * @returns {Promise<Entry>}
 */
async function entryOf(one, folder) {
  const declarations = one.symbol.declarations ?? [];
  const first = firstOf(one);
  const from = sourceOf(first);
  const text = prose(commentOf(statementOf(first)));
  const isOurs = from.startsWith(`/packages/${folder}/`);
  const code = await codeOf(isOurs ? declarations : [first], one.name);
  return { name: one.name, kind: kindOf(one.name, first), text, code, from };
}

/**
 * @param {Entry} entry
 * @param {ReadonlySet<string>} names
 */
function textOf({ name, text, code, from }, names) {
  const file = path.basename(from);
  const rest = text === '' ? '' : `\n${linked(text, names, name)}\n`;
  return `### \`${name}\`\n${rest}\n\`\`\`ts\n${code}\n\`\`\`\n\n[${file}](../../..${from})\n`;
}

/**
 * A name in backticks that the page has a heading for leads there.
 *
 * @param {string} text
 * @param {ReadonlySet<string>} names
 * @param {string} own
 */
function linked(text, names, own) {
  return text.replace(
    /`(\w+)(\(\))?`(?!\])/g,
    (/** @type {string} */ all, /** @type {string} */ name) => {
      return name !== own && names.has(name) ? `[${all}](#${name.toLowerCase()})` : all;
    },
  );
}

/**
 * Constants with words of their own are few; the others are a list.
 *
 * @param {readonly Entry[]} constants
 */
function constantsText(constants) {
  /** @type {Map<string, Entry[]>} */
  const files = new Map();
  for (const one of constants) files.set(one.from, [...(files.get(one.from) ?? []), one]);
  const blocks = [...files].map(([from, own]) => {
    const lines = own.map(({ text, code }) => {
      const words = text.replace(/\s*\n\s*/g, ' ');
      return words === '' ? code : `/** ${words} */\n${code}`;
    });
    const code = lines.join('\n');
    return `[${path.basename(from)}](../../..${from})\n\n\`\`\`ts\n${code}\n\`\`\`\n`;
  });
  return blocks.join('\n');
}

/**
 * @param {Package} pack
 * @param {{name: string, file: string}} entry
 * @param {string} title
 * @returns {Promise<Module>}
 */
async function sectionsOf({ folder, leftOut }, { name: entry, file }, title) {
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${file} is not there, or exports nothing`);
  const all = exportsOf(module).filter(({ symbol }) => symbol.declarations?.length);
  /** @param {Exported} one */
  const isLeftOut = (one) => leftOut?.test(sourceOf(firstOf(one))) === true;
  const kept = all.filter((one) => !isLeftOut(one));
  const omitted = all.find(isLeftOut);
  const told = await Promise.all(kept.map((one) => entryOf(one, folder)));
  const names = new Set(told.filter(({ kind }) => kind !== 'Constants').map(({ name }) => name));
  const parts = KINDS.flatMap((kind) => {
    const own = told.filter((one) => one.kind === kind);
    if (own.length === 0) return [];
    const text =
      kind === 'Constants' ? constantsText(own) : own.map((one) => textOf(one, names)).join('\n');
    return [`## ${kind}${title}\n\n${text}`];
  });
  const rest = all.length - kept.length;
  const from = omitted === undefined ? '' : sourceOf(firstOf(omitted));
  return { entry, parts, told, rest, from: path.dirname(from) };
}

/** The pages by their names, and whatever has no words of its own: `PACKAGE KIND NAME`. */
export async function renderPages() {
  /** @type {Map<string, string>} */
  const pages = new Map();
  /** @type {string[]} */
  const undocumented = [];
  for (const one of PACKAGES) {
    const { name, description } = manifestOf(one.folder);
    const own = entries.filter(({ folder }) => folder === one.folder);
    /** @type {Module[]} */
    const modules = [];
    for (const entry of own) {
      const title = entry.name === '.' ? '' : ` of \`${path.join(name, entry.name)}\``;
      modules.push(await sectionsOf(one, entry, title));
    }
    for (const { told } of modules) {
      const lacking = told.filter(({ kind, text }) => text === '' && kind !== 'Constants');
      undocumented.push(...lacking.map((lack) => `${name} ${lack.kind} ${lack.name}`));
    }
    pages.set(`${one.folder}.md`, pageOf(name, description, one.folder, modules));
  }
  pages.set('README.md', indexOf());
  return { pages, undocumented };
}

/**
 * @param {string} name
 * @param {string} description
 * @param {string} folder
 * @param {readonly Module[]} modules
 */
function pageOf(name, description, folder, modules) {
  const omitted = modules
    .filter(({ rest }) => rest > 0)
    .map(({ entry, rest, from }) => {
      const what = entry === '.' ? 'It also' : `\`${path.join(name, entry)}\``;
      const source = `[${path.basename(from)}](../../..${from})`;
      return `- ${what} exports ${rest} types of commands and events: ${source}.`;
    });
  const notes = omitted.length > 0 ? `\n${omitted.join('\n')}\n` : '';
  const sections = modules.flatMap(({ parts }) => parts).join('\n');
  return `# \`${name}\`

${description}. [README](../../../packages/${folder}/README.md) shows it at work.
${notes}
This page is made from the code by \`node scripts/docs/api.mjs\`.

${sections}`;
}

function indexOf() {
  const rows = PACKAGES.map(({ folder }) => {
    const { name, description } = manifestOf(folder);
    return `| [${name}](${folder}.md) | ${description} |`;
  });
  return `# API

What each package exports; what a page does not have is no promise. [examples](../../../examples)
has programs that use them.

| package | is |
| --- | --- |
${rows.join('\n')}
`;
}

const [, started, how] = process.argv;
if (started === import.meta.filename) {
  const { pages, undocumented } = await renderPages();
  if (how === '--json') console.log(JSON.stringify({ pages: [...pages], undocumented }));
  else {
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, text] of pages) writeFileSync(path.join(FOLDER, name), text);
  }
}
