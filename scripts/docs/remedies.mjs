// What the product tells people to do, from the code: every remedy of an error, of a finding, of an
// event and of a verdict. `test/composition/remedies.test.ts` runs those that are commands.
//
//   node scripts/docs/remedies.mjs     as JSON
import ts from 'typescript';
import { collectErrors } from './errors.mjs';
import { files, nodesOf, sitesOf, textsOf } from './source-texts.mjs';

/**
 * - `command`: a command of Gannet's or of the system, or an option to add to one
 * - `config`: a key of the configuration or an option of QEMU's to change
 * - `outside`: something to look at or to repair that no command does
 *
 * @typedef {'command' | 'config' | 'outside'} RemedyKind
 *
 * @typedef {object} Remedy
 * @property {string} text `…` for what is known at run time only
 * @property {RemedyKind} kind
 * @property {readonly string[]} of codes of errors and findings; kinds of events and verdicts
 */

const NAMES =
  'protect|primary|secondary|seed-rate|check|status|events|checkpoint|failover|detach|' +
  'reprotect|recover|verify|snapshot';
const COMMAND = new RegExp(
  [
    `\\bgannet (?:${NAMES})\\b`,
    '`(?:chmod|ip|sysctl) ',
    '(?<![\\w`-])--(?:force|overwrite|overrule-peer|last-commit)\\b',
    '`(?:seal|commit|abort)`',
  ].join('|'),
);
const CONFIG = new RegExp(
  [
    '`[\\w.-]+(?:: ?[\\w ]+)?`',
    '\\b(?:primary|secondary|tls|http|fence|peer)\\.[a-zA-Z]+',
    'configuration|config\\b',
    '-(?:m|cpu|machine|device|global|accel|smp)\\b',
  ].join('|'),
);

/** Says how much a takeover undoes, in many ways. */
const LOSS = /What was written since the last checkpoint.*$/;

/** @param {string} text @returns {RemedyKind} */
export function kindOf(text) {
  if (COMMAND.test(text)) return 'command';
  return CONFIG.test(text) ? 'config' : 'outside';
}

/** @returns {Remedy[]} in the order of their texts */
export function collectRemedies() {
  /** @type {Map<string, Set<string>>} */
  const found = new Map();
  /** @param {string} whole @param {string} of */
  const note = (whole, of) => {
    if (!/[a-z]/.test(whole)) return;
    const text = whole.replace(LOSS, '…');
    const known = found.get(text) ?? new Set();
    found.set(text, known.add(of));
  };
  for (const { code, remedies } of collectErrors()) {
    for (const text of remedies) note(text, code);
  }
  for (const { name, tree } of files) {
    for (const call of nodesOf(tree, ts.isCallExpression)) {
      if (!/^(?:f|hostF)inding$/.test(call.expression.getText())) continue;
      const [, code, message, remedy] = call.arguments;
      if (!message) continue;
      for (const site of sitesOf(message, remedy)) {
        for (const text of site.remedies) note(text, textsOf(code).join(', '));
      }
    }
    if (!/contract\/src\/(?:events\/table|verdict\/verdict-table)/.test(name)) continue;
    for (const property of nodesOf(tree, ts.isPropertyAssignment)) {
      if (property.name.getText() !== 'remedy') continue;
      for (const text of textsOf(property.initializer)) note(text, ownerOf(property));
    }
  }
  return [...found]
    .map(([text, of]) => ({ text, kind: kindOf(text), of: [...of].sort() }))
    .sort((a, b) => (a.text < b.text ? -1 : 1));
}

/**
 * The entry of the table that a remedy belongs to.
 *
 * @param {ts.Node} node
 */
function ownerOf(node) {
  let name = '';
  for (let at = node.parent; at; at = at.parent) {
    if (ts.isPropertyAssignment(at)) name = at.name.getText().replace(/'/g, '');
  }
  return name;
}

if (process.argv[1] === import.meta.filename)
  console.log(JSON.stringify(collectRemedies(), null, 1));
