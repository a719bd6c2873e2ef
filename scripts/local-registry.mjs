// An npm registry on loopback, to install what was packed here as if it had been published:
//
//   node scripts/local-registry.mjs FOLDER
//
// serves the tarballs of FOLDER, and every other package as node_modules has it, which is as the
// lockfile pins it. Nothing comes from the network. Prints its URL on a line; ends when its stdin
// does, that is with its parent.
import { execFile, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..');
const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/local-registry.mjs FOLDER');
  process.exit(2);
}

/**
 * @typedef {{name: string, version: string, [key: string]: unknown}} Manifest
 * @typedef {Map<string, {manifest: Manifest, pack: readonly string[]}>} Versions
 */

/**
 * Name to version to `{ manifest, pack }`, where `pack` is a command that writes the tarball to its
 * stdout.
 *
 * @type {Map<string, Versions>}
 */
const packages = new Map();

/**
 * @param {Manifest} manifest
 * @param {readonly string[]} pack
 */
function add(manifest, pack) {
  const versions = packages.get(manifest.name) ?? /** @type {Versions} */ (new Map());
  packages.set(manifest.name, versions.set(manifest.version, { manifest, pack }));
}

/** @param {string} folder */
async function addTarballs(folder) {
  for (const file of await readdir(folder)) {
    if (!file.endsWith('.tgz')) continue;
    const tarball = path.join(folder, file);
    const { stdout } = await run('tar', ['-xzOf', tarball, 'package/package.json']);
    add(JSON.parse(stdout), ['cat', tarball]);
  }
}

/** pnpm has each version in a folder of its own, with links to its dependencies beside it. */
async function addInstalled() {
  const store = path.join(root, 'node_modules/.pnpm');
  for (const entry of await readdir(store)) {
    const modules = path.join(store, entry, 'node_modules');
    // `@scope+name@1.2.3_peer@4.5.6`; other entries are of pnpm itself.
    const name = /^(@?[^@]+)@\d/.exec(entry)?.[1]?.replace('+', '/');
    if (name === undefined) continue;
    const at = path.join(modules, name);
    const manifest = JSON.parse(await readFile(path.join(at, 'package.json'), 'utf8'));
    const inside = ['--exclude', './node_modules', '--transform', 's,^\\.,package,', '.'];
    // Files of the same content are one file in pnpm's store, and npm ignores hard links.
    add(manifest, ['tar', '-C', at, '-cz', '--hard-dereference', ...inside]);
  }
}

/**
 * What npm asks for first:
 * https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
 *
 * @param {string} name
 * @param {Versions} versions
 * @param {string} url
 */
function metadataOf(name, versions, url) {
  const entries = [...versions].map(([version, { manifest }]) => {
    const tarball = `${url}/-/${encodeURIComponent(name)}/${version}.tgz`;
    return [version, { ...manifest, dist: { tarball } }];
  });
  const latest = [...versions.keys()].at(-1);
  return { name, 'dist-tags': { latest }, versions: Object.fromEntries(entries) };
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function answer(request, response) {
  const url = `http://${request.headers.host}`;
  const asked = decodeURIComponent((request.url ?? '/').slice(1));
  const tarball = /^-\/(.+)\/([^/]+)\.tgz$/.exec(asked);
  const versions = packages.get(tarball?.[1] ?? asked);
  const pack = tarball && versions?.get(tarball[2] ?? '')?.pack;
  if (versions === undefined || (tarball && pack === undefined)) {
    response.writeHead(404).end('{}');
  } else if (pack) {
    const [command = '', ...args] = pack;
    spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }).stdout.pipe(response);
  } else {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(metadataOf(asked, versions, url)));
  }
}

await addInstalled();
await addTarballs(folder);
const server = createServer(answer);
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`http://127.0.0.1:${port}`);
});
process.stdin.resume().once('end', () => process.exit(0));
