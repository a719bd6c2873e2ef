import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

/** A file of the web page. */
export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const DIST = path.resolve(import.meta.dirname, '..', '..');
/** What the page uses of the contract, and what those modules import: none needs Node.js or zod. */
const CONTRACT = [
  'events.js',
  'events/describe.js',
  'events/meaning.js',
  'events/table.js',
  'events/table-standing.js',
  'events/words.js',
  'format.js',
  'states.js',
] as const;
/** Specifiers of the modules of CONTRACT, which a browser resolves by their place on the server. */
const BARE = /(from ')@gannet\/contract\/([a-z-]+)'/g;

/**
 * A module with specifiers that a browser can resolve. An import map would have to be an inline
 * script, which our Content-Security-Policy forbids.
 */
function forBrowsers(module: Buffer): Buffer {
  return Buffer.from(module.toString('utf8').replace(BARE, "$1/contract/$2.js'"));
}

/**
 * All files of the web page, by URL path. They are read once, so that no request reaches the file
 * system.
 */
export async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const assets = new Map<string, Asset>();
  const add = async (url: string, file: string): Promise<void> => {
    const type = TYPES[path.extname(url)] ?? 'application/octet-stream';
    const body = await readFile(file);
    assets.set(url, { type, body: url.endsWith('.js') ? forBrowsers(body) : body });
  };
  const addFolder = async (url: string, folder: string): Promise<void> => {
    for (const name of await readdir(folder)) {
      if (TYPES[path.extname(name)]) await add(`${url}${name}`, path.join(folder, name));
    }
  };
  await addFolder('/', path.resolve(DIST, '..', 'page'));
  // Modules import each other by relative paths, so URLs mirror the folders.
  await addFolder('/page/', path.join(DIST, 'page'));
  await addFolder('/view/', path.join(DIST, 'view'));
  const { resolve } = createRequire(import.meta.url);
  const contract = path.dirname(resolve('@gannet/contract/events'));
  for (const name of CONTRACT) await add(`/contract/${name}`, path.join(contract, name));
  // htm exports this file to browsers only; Node.js cannot resolve it.
  const htm = path.resolve(path.dirname(resolve('htm')), '..');
  await add('/vendor/htm.js', path.join(htm, 'preact', 'standalone.module.js'));
  const index = assets.get('/index.html');
  if (index) assets.set('/', index);
  return assets;
}
