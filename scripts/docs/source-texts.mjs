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
 * A text that an expression may stand for, and the choices of the code that lead to it: by where
 * the choice is made, which way it went.
 *
 * @typedef {object} Alternative
 * @property {string} text
 * @property {ReadonlyMap<string, string>} choices
 */

/**
 * The texts that an expression may stand for, as far as can be told from the code: `…` for what it
 * puts in.
 *
 * @param {ts.Node | undefined} node
 * @returns {string[]}
 */
export function textsOf(node) {
  return alternativesOf(node).map(({ text }) => text);
}

/**
 * @param {ts.Node | undefined} node
 * @param {number} hops how many names were followed to get here
 * @returns {Alternative[]}
 */
function alternativesOf(node, hops = 0) {
  if (!node || hops > HOPS_MAX) return [];
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node))
    return [only(node.text)];
  if (ts.isTemplateExpression(node)) return templates(node, hops);
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node))
    return alternativesOf(node.expression, hops);
  if (ts.isConditionalExpression(node)) {
    return branchesOf(node, (branch) => alternativesOf(branch, hops));
  }
  if (ts.isBinaryExpression(node)) {
    const lefts = orDots(alternativesOf(node.left, hops));
    const rights = orDots(alternativesOf(node.right, hops));
    if (node.operatorToken.kind !== ts.SyntaxKind.PlusToken)
      return [
        ...chosen(node.left, node.left.getText(), 'not undefined', lefts.slice(0, 1)),
        ...chosen(node.left, node.left.getText(), 'is undefined', rights.slice(0, 1)),
      ];
    return lefts.flatMap((left) => rights.flatMap((right) => joined(left, right)));
  }
  if (ts.isArrowFunction(node)) return returnedTexts(node, hops);
  if (ts.isIdentifier(node)) return namedTexts(node, hops + 1);
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const called = functions.get(node.expression.text);
    if (called) return returnedTexts(called, hops, node);
    const named = namedTexts(node.expression, hops + 1);
    return named;
  }
  return [];
}

/**
 * What a function returns.
 *
 * @param {ts.FunctionDeclaration | ts.ArrowFunction} called
 * @param {number} hops
 * @param {ts.Node} by
 * @returns {Alternative[]}
 */
function returnedTexts(called, hops, by = called) {
  if (called.body && !ts.isBlock(called.body)) return alternativesOf(called.body, hops + 1);
  return [...nodesOf(called, ts.isReturnStatement)].flatMap(({ expression }, at) =>
    chosen(by, by.getText(), `is ${at}`, alternativesOf(expression, hops + 1)),
  );
}

/**
 * @param {string} text
 * @returns {Alternative}
 */
function only(text) {
  return { text, choices: new Map() };
}

/**
 * What is known at run time only.
 *
 * @param {Alternative[]} found
 */
function orDots(found) {
  return found.length > 0 ? found : [only('…')];
}

/**
 * What a condition is about, and which way it goes if it holds and if not: `a` and `!a` are one
 * choice, `a === 1` and `a !== 1` too, and `a` is never both 1 and 2.
 *
 * @param {ts.Expression} condition
 * @returns {{about: string, yes: string, no: string}}
 */
function choiceOf(condition) {
  const text = condition.getText();
  const [, left = '', sign, right = ''] = /^(.+) ([!=])== ('[^']*'|\w+)$/.exec(text) ?? [];
  const ways = sign ? [`is ${right}`, `not ${right}`] : ['is true', 'not true'];
  const [yes = '', no = ''] = sign === '!' || text.startsWith('!') ? ways.reverse() : ways;
  return { about: sign ? left : text.replace(/^!/, ''), yes, no };
}

/**
 * The same expression is the same choice within one function.
 *
 * @param {ts.Node} by
 * @param {string} about
 * @param {string} way
 * @param {readonly Alternative[]} found
 * @returns {Alternative[]}
 */
function chosen(by, about, way, found) {
  const scope = ts.findAncestor(by, ts.isFunctionLike) ?? by.getSourceFile();
  const key = `${by.getSourceFile().fileName}:${scope.pos} ${about}`;
  return found.map(({ text, choices }) => ({ text, choices: new Map([...choices, [key, way]]) }));
}

/**
 * @param {ts.ConditionalExpression} node
 * @param {(branch: ts.Expression) => Alternative[]} found
 * @returns {Alternative[]}
 */
function branchesOf(node, found) {
  const { about, yes, no } = choiceOf(node.condition);
  return [
    ...chosen(node.condition, about, yes, found(node.whenTrue)),
    ...chosen(node.condition, about, no, found(node.whenFalse)),
  ];
}

/**
 * Whether one run of the code can come to both.
 *
 * @param {Alternative} one
 * @param {Alternative} other
 */
function agree(one, other) {
  return [...one.choices].every(([key, way]) => {
    const [is, what] = split(way);
    const [otherIs, otherWhat] = split(other.choices.get(key) ?? way);
    return is === otherIs ? is === 'not' || what === otherWhat : what !== otherWhat;
  });
}

/**
 * @param {string} way
 * @returns {[is: string, what: string]}
 */
function split(way) {
  const at = way.indexOf(' ');
  return [way.slice(0, at), way.slice(at + 1)];
}

/**
 * @param {Alternative} left
 * @param {Alternative} right
 * @returns {Alternative[]}
 */
function joined(left, right) {
  if (!agree(left, right)) return [];
  const choices = new Map([...left.choices, ...right.choices]);
  return [{ text: left.text + right.text, choices }];
}

/**
 * One text, or as many as the one name in it that stands for several.
 *
 * @param {ts.TemplateExpression} node
 * @param {number} hops
 * @returns {Alternative[]}
 */
function templates(node, hops) {
  let texts = [only(node.head.text)];
  for (const { expression, literal } of node.templateSpans) {
    const found = insertedTexts(expression, hops + 1);
    const isOne = found.length === 1 || (found.length > 1 && texts.length === 1);
    const inserts = isOne ? found.map((one) => ({ ...one, text: one.text || '…' })) : [only('…')];
    texts = texts.flatMap((text) =>
      inserts.flatMap((insert) => joined(text, { ...insert, text: insert.text + literal.text })),
    );
  }
  // Nothing but what is put in: the names say more than dots.
  return texts.some(({ text }) => /[a-z]/.test(text)) ? texts : [only(namedTemplate(node))];
}

/**
 * What a template puts in: a name's texts, or those of a function if it gives sentences.
 *
 * @param {ts.Expression} expression
 * @param {number} hops
 * @returns {Alternative[]}
 */
function insertedTexts(expression, hops) {
  if (ts.isIdentifier(expression)) return alternativesOf(expression, hops);
  if (!ts.isCallExpression(expression)) return [];
  const found = alternativesOf(expression, hops);
  return found.every(({ text }) => / [a-z]/.test(text)) ? found : [];
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
 * Calls that reach a function: from anywhere if it is exported, from the block that it is declared
 * in otherwise.
 *
 * @param {ts.SignatureDeclaration} scope
 * @returns {ts.CallExpression[]}
 */
function callsOf(scope) {
  const isExported = (ts.getCombinedModifierFlags(scope) & ts.ModifierFlags.Export) !== 0;
  const block = ts.findAncestor(scope.parent, (one) => ts.isBlock(one) || ts.isSourceFile(one));
  return (calls.get(functionName(scope)) ?? []).filter(
    (call) => isExported || ts.findAncestor(call, (one) => one === block) !== undefined,
  );
}

/**
 * Pairs of texts where an error is made: for each call apart of a function that makes it, and as
 * the choices in the code go together.
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
    const says = alternativesOf(message);
    const named = says.length > 0 ? says : [only(`<${nameOf(message)}>`)];
    const pairs = pairsOf(named, alternativesOf(remedy));
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
 * @returns {Alternative[]}
 */
function namedTexts(name, hops) {
  for (let /** @type {ts.Node} */ scope = name.parent; scope; scope = scope.parent) {
    if (ts.isFunctionLike(scope)) {
      const at = scope.parameters.findIndex((one) => one.name.getText() === name.text);
      const parameter = scope.parameters[at];
      if (parameter && ts.isParameter(parameter)) {
        const usual = alternativesOf(parameter.initializer, hops);
        const bound = boundCalls.get(scope);
        if (bound) return bound.arguments[at] ? alternativesOf(bound.arguments[at], hops) : usual;
        // One call gives all of the parameters.
        const given = callsOf(scope).flatMap((call, which) =>
          chosen(parameter.parent, 'call', `is ${which}`, alternativesOf(call.arguments[at], hops)),
        );
        return [...given, ...usual];
      }
    }
    if (!ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    for (const statement of scope.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      for (const { name: declared, initializer } of statement.declarationList.declarations) {
        if (declared.getText() === name.text) return alternativesOf(initializer, hops);
        const at = ts.isArrayBindingPattern(declared)
          ? declared.elements.findIndex(
              (one) => ts.isBindingElement(one) && one.name.getText() === name.text,
            )
          : -1;
        if (at >= 0) return elementsOf(initializer, at, hops);
      }
    }
  }
  return [];
}

/**
 * One element of `[…, …]`, or of such lists by a condition.
 *
 * @param {ts.Node | undefined} node
 * @param {number} at
 * @param {number} hops
 * @returns {Alternative[]}
 */
function elementsOf(node, at, hops) {
  if (!node) return [];
  if (ts.isArrayLiteralExpression(node)) return alternativesOf(node.elements[at], hops);
  if (!ts.isConditionalExpression(node)) return [];
  return branchesOf(node, (branch) => elementsOf(branch, at, hops));
}

/**
 * To each text the remedies that one run of the code can give it.
 *
 * @param {readonly Alternative[]} says
 * @param {readonly Alternative[]} remedies
 * @returns {Site[]}
 */
function pairsOf(says, remedies) {
  return says.map((one) => ({
    says: words([one.text]),
    remedies: words(remedies.filter((other) => agree(one, other)).map(({ text }) => text)),
  }));
}

/**
 * `…` alone says nothing.
 *
 * @param {readonly string[]} texts
 */
function words(texts) {
  const lines = texts.map((text) =>
    text
      .replace(/\s*\n\s*/g, ' ')
      .replace(/…+/g, '…')
      .trim(),
  );
  return [...new Set(lines)].filter((text) => /[a-z]/.test(text)).sort();
}
