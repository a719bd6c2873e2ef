// Looks at packed packages as their users' tools will: publint for the manifest and its files, "are
// the types wrong" for the types of every entry point under each way of resolving modules.
//
//   node scripts/check-packages.mjs FOLDER
//
// prints what is wrong, a line each, and ends with 1 if anything is.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/check-packages.mjs FOLDER');
  process.exit(2);
}

/**
 * The packages are ESM for Node.js 20 and later: no CommonJS, nor resolution that knows nothing of
 * `exports`.
 *
 * @param {import('@arethetypeswrong/core').Problem} problem
 */
function concernsUs(problem) {
  const isOfNode10 = 'resolutionKind' in problem && problem.resolutionKind === 'node10';
  return problem.kind !== 'CJSResolvesToESM' && !isOfNode10;
}

/** @param {Buffer} data */
async function publintOf(data) {
  const tarball = new Uint8Array(data).buffer;
  const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
  return messages.map((message) => `publint: ${message.type}: ${formatMessage(message, pkg)}`);
}

/** @param {Buffer} data */
async function typesOf(data) {
  const result = await checkPackage(createPackageFromTarballData(data));
  if (!result.types) return ['types: there are none'];
  return result.problems.filter(concernsUs).map((problem) => `types: ${JSON.stringify(problem)}`);
}

const tarballs = (await readdir(folder)).filter((file) => file.endsWith('.tgz'));
let findings = 0;
for (const file of tarballs) {
  const data = await readFile(path.join(folder, file));
  const found = [...(await publintOf(data)), ...(await typesOf(data))];
  for (const finding of found) console.log(`${file}: ${finding}`);
  findings += found.length;
}
console.log(`${tarballs.length} packages, ${findings} findings`);
process.exitCode = findings > 0 || tarballs.length === 0 ? 1 : 0;
