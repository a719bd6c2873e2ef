// What the sources say: functions, calls, and the texts that an expression may stand for.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '..', '..');
/** Names that are followed from one expression at most. */
const HOPS_MAX = 6;

/**
 * @typedef {object} Site Where an error is made: what it says there, and what to do.
 * @property {readonly string[]} says
 * @property {readonly string[]} remedies
 */

/** Sources of all packages, parsed. */
export const files = readdirSync(path.join(root, 'packages'), { recursive: true })
  .map((name) => path.join('packages', String(name)))
  .filter((name) => /^packages\/[^/]+\/src\/.*\.ts$/.test(name) && !name.includes('/generated/'))
  .sort()
  .map((name) => {
    const text = readFileSync(path.join(root, name), 'utf8');
    return { name, tree: ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true) };
  });

/**
 * @template {ts.Node} T
 * @param {ts.Node} tree
 * @param {(node: ts.Node) => node is T} is
 * @returns {Generator<T, void>}
 */
export function* nodesOf(tree, is) {
  const stack = [tree];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (is(node)) yield node;
    ts.forEachChild(node, (child) => void stack.push(child));
  }
}

/**
 * Functions by their names.
 *
 * @type {Map<string, ts.FunctionDeclaration>}
 */
const functions = new Map();
/**
 * Calls by the names of the functions.
 *
 * @type {Map<string, ts.CallExpression[]>}
 */
const calls = new Map();
for (const { tree } of files) {
  for (const node of nodesOf(tree, ts.isFunctionDeclaration))
    if (node.name) functions.set(node.name.text, node);
  for (const node of nodesOf(tree, ts.isCallExpression)) {
    if (ts.isIdentifier(node.expression)) push(calls, node.expression.text, node);
  }
}

/**
 * @template K, V
 * @param {Map<K, V[]>} map
 * @param {K} key
 * @param {V} value
 */
export function push(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/**
 * The texts that an expression may stand for, as far as can be told from the code: `…` for what it
 * puts in.
 *
 * @param {ts.Node | undefined} node
 * @param {number} hops how many names were followed to get here
 * @returns {string[]}
 */
export function textsOf(node, hops = 0) {
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

/**
 * One text, or as many as the one name in it that stands for several.
 *
 * @param {ts.TemplateExpression} node
 * @param {number} hops
 * @returns {string[]}
 */
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

/** @param {ts.TemplateExpression} node */
function namedTemplate(node) {
  const parts = node.templateSpans.map(({ expression, literal }) => {
    return `<${nameOf(expression)}>${literal.text}`;
  });
  return node.head.text + parts.join('');
}

/**
 * What a reader may call an expression whose text is known at run time only.
 *
 * @param {ts.Node} node
 * @returns {string}
 */
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

/**
 * The name of a function, or of the constant or member that it is the value of.
 *
 * @param {ts.SignatureDeclaration} scope
 */
function functionName(scope) {
  const named = /** @type {{name?: ts.Node}} */ (scope.name ? scope : scope.parent);
  return named.name?.getText() ?? '';
}

/**
 * `packages/nbd/src/errors.ts` → `nbd`
 *
 * @param {string} file
 */
export function packageOf(file) {
  return file.split('/')[1] ?? '';
}

/**
 * The one call that a function's parameters stand for at the moment.
 *
 * @type {Map<ts.Node, ts.CallExpression>}
 */
const boundCalls = new Map();

/**
 * Calls that reach a function: from anywhere if it is exported, from its own file otherwise.
 *
 * @param {ts.SignatureDeclaration} scope
 * @returns {ts.CallExpression[]}
 */
function callsOf(scope) {
  const isExported = (ts.getCombinedModifierFlags(scope) & ts.ModifierFlags.Export) !== 0;
  return (calls.get(functionName(scope)) ?? []).filter(
    (call) => isExported || call.getSourceFile() === scope.getSourceFile(),
  );
}

/**
 * Pairs of texts where an error is made: for each call apart of a function that makes it.
 *
 * @param {ts.Node} message
 * @param {ts.Node | undefined} remedy
 * @returns {Site[]}
 */
export function sitesOf(message, remedy) {
  const scope = ts.findAncestor(message, ts.isFunctionLike);
  const found = scope ? callsOf(scope) : [];
  /** @param {ts.CallExpression} [call] */
  const each = (call) => {
    if (scope && call) boundCalls.set(scope, call);
    const says = textsOf(message);
    const pairs = pairsOf(says.length > 0 ? says : [`<${nameOf(message)}>`], textsOf(remedy));
    if (scope) boundCalls.delete(scope);
    return pairs;
  };
  return found.length > 0 ? found.flatMap((call) => each(call)) : each();
}

/**
 * A constant, or a parameter: then what the function is called with.
 *
 * @param {ts.Identifier} name
 * @param {number} hops
 * @returns {string[]}
 */
function namedTexts(name, hops) {
  for (let /** @type {ts.Node} */ scope = name.parent; scope; scope = scope.parent) {
    if (ts.isFunctionLike(scope)) {
      const at = scope.parameters.findIndex((one) => one.name.getText() === name.text);
      const parameter = scope.parameters[at];
      if (parameter && ts.isParameter(parameter)) {
        const usual = textsOf(parameter.initializer, hops);
        const bound = boundCalls.get(scope);
        if (bound) return bound.arguments[at] ? textsOf(bound.arguments[at], hops) : usual;
        const given = callsOf(scope).flatMap((call) => textsOf(call.arguments[at], hops));
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
 * What is said by a call belongs to the remedy of that call.
 *
 * @param {readonly string[]} says
 * @param {readonly string[]} remedies
 * @returns {Site[]}
 */
function pairsOf(says, remedies) {
  if (says.length !== remedies.length) return [{ says: words(says), remedies: words(remedies) }];
  return says.map((one, at) => ({
    says: words([one]),
    remedies: words(remedies.slice(at, at + 1)),
  }));
}

/**
 * `…` alone says nothing.
 *
 * @param {readonly string[]} texts
 */
function words(texts) {
  const lines = texts.map((text) => text.replace(/\s*\n\s*/g, ' ').trim());
  return [...new Set(lines)].filter((text) => /[a-z]/.test(text)).sort();
}
