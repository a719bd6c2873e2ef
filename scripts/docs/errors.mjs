// Writes docs/reference/errors.md from the code: every error code, what it means and what to do.
//
//   node scripts/docs/errors.mjs [--json]
//
// The codes are the members of the types called *ErrorCode, and the keys of the tables of findings.
// What a code means is the comment on it there; what an error says, and its remedy, are read where
// it is made.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'reference', 'errors.md');
/** Longest text that an expression stands for; more is a paragraph, and not a remedy. */
const HOPS_MAX = 6;

const files = readdirSync(path.join(root, 'packages'), { recursive: true })
  .map((name) => path.join('packages', String(name)))
  .filter((name) => /^packages\/[^/]+\/src\/.*\.ts$/.test(name) && !name.includes('/generated/'))
  .sort()
  .map((name) => {
    const text = readFileSync(path.join(root, name), 'utf8');
    return { name, tree: ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true) };
  });

function* nodesOf(tree, is) {
  const stack = [tree];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (is(node)) yield node;
    ts.forEachChild(node, (child) => void stack.push(child));
  }
}

/** Functions by their names, and the calls of them. */
const functions = new Map();
const calls = new Map();
for (const { tree } of files) {
  for (const node of nodesOf(tree, ts.isFunctionDeclaration))
    if (node.name) functions.set(node.name.text, node);
  for (const node of nodesOf(tree, ts.isCallExpression)) {
    if (ts.isIdentifier(node.expression)) push(calls, node.expression.text, node);
  }
}

function push(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/**
 * The texts that an expression may stand for, as far as can be told from the code: `…` for what it
 * puts in.
 */
function textsOf(node, hops = 0) {
  if (!node || hops > HOPS_MAX) return [];
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (ts.isTemplateExpression(node)) return templates(node, hops);
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node))
    return textsOf(node.expression, hops);
  if (ts.isConditionalExpression(node)) {
    return [...textsOf(node.whenTrue, hops), ...textsOf(node.whenFalse, hops)];
  }
  if (ts.isBinaryExpression(node)) {
    const [left, right] = [textsOf(node.left, hops)[0] ?? '…', textsOf(node.right, hops)[0] ?? '…'];
    return node.operatorToken.kind === ts.SyntaxKind.PlusToken ? [left + right] : [left, right];
  }
  if (ts.isIdentifier(node)) return namedTexts(node, hops + 1);
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const called = functions.get(node.expression.text);
    const returns = called ? [...nodesOf(called, ts.isReturnStatement)] : [];
    return returns.flatMap(({ expression }) => textsOf(expression, hops + 1));
  }
  return [];
}

/** One text, or as many as the one name in it that stands for several. */
function templates(node, hops) {
  let texts = [node.head.text];
  for (const { expression, literal } of node.templateSpans) {
    const found = ts.isIdentifier(expression) ? textsOf(expression, hops + 1) : [];
    const isOne = found.length === 1 || (found.length > 1 && texts.length === 1);
    const inserts = isOne ? found.map((text) => text || '…') : ['…'];
    texts = texts.flatMap((text) => inserts.map((insert) => text + insert + literal.text));
  }
  // Nothing but what is put in: the names say more than dots.
  return texts.some((text) => /[a-z]/.test(text)) ? texts : [namedTemplate(node)];
}

function namedTemplate(node) {
  const parts = node.templateSpans.map(({ expression, literal }) => {
    return `<${nameOf(expression)}>${literal.text}`;
  });
  return node.head.text + parts.join('');
}

/** What a reader may call an expression whose text is known at run time only. */
function nameOf(node) {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node)) return node.name.text.replace(/^#/, '');
  if (ts.isCallExpression(node)) {
    const { expression } = node;
    // A method, such as join(), gives a form of what it is called on.
    const named = ts.isPropertyAccessExpression(expression) ? expression.expression : expression;
    return nameOf(named).replace(/Of$/, '');
  }
  return 'text';
}

/** The one call that a function's parameters stand for at the moment. */
const boundCalls = new Map();

function callsOf(name, scope, isExported) {
  return (calls.get(name) ?? []).filter(
    (call) => isExported || call.getSourceFile() === scope.getSourceFile(),
  );
}

/** Pairs of texts where an error is made: for each call apart of a function that makes it. */
function sitesOf(message, remedy) {
  const scope = ts.findAncestor(message, ts.isFunctionLike);
  const name = scope?.name?.getText() ?? scope?.parent?.name?.getText?.();
  const isExported = scope && (ts.getCombinedModifierFlags(scope) & ts.ModifierFlags.Export) !== 0;
  const found = scope ? callsOf(name, scope, isExported) : [];
  const each = (call) => {
    if (call) boundCalls.set(scope, call);
    const says = textsOf(message);
    const pairs = pairsOf(says.length > 0 ? says : [`<${nameOf(message)}>`], textsOf(remedy));
    boundCalls.delete(scope);
    return pairs;
  };
  return found.length > 0 ? found.flatMap(each) : each();
}

/** A constant, or a parameter: then what the function is called with. */
function namedTexts(name, hops) {
  for (let scope = name.parent; scope; scope = scope.parent) {
    if (ts.isFunctionLike(scope)) {
      const at = scope.parameters.findIndex((one) => one.name.getText() === name.text);
      const called = scope.name?.getText() ?? scope.parent?.name?.getText?.();
      if (at >= 0) {
        // A name that is not exported may be another function's elsewhere.
        const isExported = (ts.getCombinedModifierFlags(scope) & ts.ModifierFlags.Export) !== 0;
        const usual = textsOf(scope.parameters[at].initializer, hops);
        const bound = boundCalls.get(scope);
        if (bound) return bound.arguments[at] ? textsOf(bound.arguments[at], hops) : usual;
        const given = callsOf(called, scope, isExported).flatMap((call) =>
          textsOf(call.arguments[at], hops),
        );
        return [...given, ...usual];
      }
    }
    if (!ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    for (const statement of scope.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      const found = statement.declarationList.declarations.find(
        (one) => one.name.getText() === name.text,
      );
      if (found) return textsOf(found.initializer, hops);
    }
  }
  return [];
}

/**
 * @returns {{code: string, from: string, meaning: string, sites: object[], remedies:
 * Set<string>}[]}
 */
export function collectErrors() {
  /** By code; two packages may have the same. */
  const codes = new Map();
  for (const { name, tree } of files) {
    for (const alias of nodesOf(tree, ts.isTypeAliasDeclaration)) {
      if (!alias.name.text.endsWith('ErrorCode')) continue;
      for (const [code, meaning] of membersOf(alias, tree)) {
        const from = name.split('/')[1];
        push(codes, code, { code, from, meaning, sites: [], remedies: new Set() });
      }
    }
  }
  for (const { name, tree } of files) {
    for (const node of nodesOf(tree, ts.isNewExpression)) {
      const [code, message, remedy] = node.arguments ?? [];
      if (!/Error$/.test(node.expression.getText()) || !message) continue;
      const sites = sitesOf(message, remedy);
      for (const text of textsOf(code)) {
        const entry = pick(codes.get(text), name.split('/')[1]);
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

/** The daemons make errors of the packages' codes, too. */
function pick(entries = [], from) {
  return entries.find((entry) => entry.from === from) ?? entries[0];
}

/** What is said by a call belongs to the remedy of that call. */
function pairsOf(says, remedies) {
  if (says.length !== remedies.length) return [{ says: words(says), remedies: words(remedies) }];
  return says.map((one, at) => ({ says: words([one]), remedies: words([remedies[at]]) }));
}

/** `…` alone says nothing. */
function words(texts) {
  const lines = texts.map((text) => text.replace(/\s*\n\s*/g, ' ').trim());
  return [...new Set(lines)].filter((text) => /[a-z]/.test(text)).sort();
}

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

/** Keys and texts of a table in the code. */
function tableOf(name, inFile = '') {
  for (const { name: file, tree } of files) {
    if (!file.includes(inFile)) continue;
    for (const one of nodesOf(tree, ts.isVariableDeclaration)) {
      if (one.name.getText() !== name || !one.initializer) continue;
      const table = ts.isObjectLiteralExpression(one.initializer)
        ? one.initializer
        : one.initializer.expression;
      return table.properties.map((property) => {
        return [property.name.text, textsOf(property.initializer)[0] ?? ''];
      });
    }
  }
  return [];
}

/** @returns what `gannet check` can find: code and why it matters */
export function collectFindings() {
  return [...tableOf('WHY', 'qmp-driver/'), ...tableOf('WHY', 'gannet/')].sort(byName);
}

function byName([a], [b]) {
  return a < b ? -1 : 1;
}

const PACKAGES = [
  ['contract', 'The command and its daemons'],
  ['replicator', 'Bases, journal and state files'],
  ['qmp-driver', 'What is done to QEMU'],
  ['checkpointer', 'Checkpoints'],
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

What can go wrong, by the code that \`--json\`, the log and the daemons' events carry. Codes are stable; the texts are
not. Each error also says what to do; below is what it may say. \`…\` and \`<name>\` stand for names, paths, numbers and
messages that are known only at run time.

This page is generated from the code by \`node scripts/docs/errors.mjs\`.

${sections.join('\n')}
## What \`gannet check\` finds

Each finding says what is wrong and what to do. This table says why it matters.

| code | why |
| --- | --- |
${findings.join('\n')}
`;
}

function entryText({ code, meaning, sites, remedies }) {
  const rows = new Set();
  const told = new Set();
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

/** The meaning has said so. */
function withoutBug(remedy) {
  const [, rest] = /^This is a (?:mistake|bug) in Gannet: (.*)$/.exec(remedy) ?? [];
  return rest === undefined ? remedy : rest[0].toUpperCase() + rest.slice(1);
}

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
      .flatMap(({ arguments: [code] }) => textsOf(code).map((text) => ({ text, name }))),
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
