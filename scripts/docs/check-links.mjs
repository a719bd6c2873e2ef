// Checks every link of every page in the repository: a file has to be there, and a heading that `#`
// names in it too. Addresses on the web are left alone: a check that needs the network fails for
// reasons of its own.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const listed = ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'];
const pages = execFileSync('git', listed, { cwd: root, encoding: 'utf8' }).trim().split('\n');

/**
 * What is in fences and backticks is code, and brackets in it are no links.
 *
 * @param {string} page
 */
function textOf(page) {
  const text = readFileSync(path.join(root, page), 'utf8');
  return text.replace(/^(```|~~~)[^]*?^\1/gm, '').replace(/`[^`\n]*`/g, '``');
}

/**
 * As GitHub makes them: lower case, punctuation dropped, blanks to hyphens, `-1` for the second of
 * the same.
 *
 * @param {string} page
 */
function anchorsOf(page) {
  const text = readFileSync(path.join(root, page), 'utf8').replace(/^(```|~~~)[^]*?^\1/gm, '');
  const seen = new Map();
  const headings = [...text.matchAll(/^#{1,6} +(.+?) *$/gm)].map(([, heading = '']) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  const ids = [...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, id]) => id);
  return new Set([...headings, ...ids]);
}

/**
 * What is wrong with a link.
 *
 * @param {string} page
 * @param {string} target
 */
function faultOf(page, target) {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined;
  const [file = '', anchor] = decodeURI(target).split('#');
  const at = file === '' ? page : path.join(path.dirname(page), file);
  if (path.relative(root, path.join(root, at)).startsWith('..'))
    return 'leads out of the repository';
  if (!existsSync(path.join(root, at))) return 'is not there';
  if (anchor === undefined || !at.endsWith('.md')) return undefined;
  return anchorsOf(at).has(anchor) ? undefined : 'has no such heading';
}

let links = 0;
let faults = 0;
for (const page of pages.filter((file) => existsSync(path.join(root, file)))) {
  const text = textOf(page);
  const inline = text.matchAll(/\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)/g);
  const references = text.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm);
  for (const [, target = ''] of [...inline, ...references]) {
    links++;
    const fault = faultOf(page, target);
    if (fault === undefined) continue;
    faults++;
    console.error(`${page}: ${target} ${fault}`);
  }
}
console.log(`${links} links in ${pages.length} pages, ${faults} broken`);
process.exitCode = faults > 0 || links === 0 ? 1 : 0;
