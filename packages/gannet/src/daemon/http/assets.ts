import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

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

/** Everything that the page consists of, by its path. Read once: no request ever reaches the file system. */
export async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const assets = new Map<string, Asset>();
  const add = async (url: string, file: string): Promise<void> => {
    const type = TYPES[path.extname(url)] ?? 'application/octet-stream';
    assets.set(url, { type, body: await readFile(file) });
  };
  const addFolder = async (url: string, folder: string): Promise<void> => {
    for (const name of await readdir(folder)) {
      if (TYPES[path.extname(name)]) await add(`${url}${name}`, path.join(folder, name));
    }
  };
  await addFolder('/', path.resolve(DIST, '..', 'page'));
  // Modules import each other by relative paths: the folders keep their places.
  await addFolder('/page/', path.join(DIST, 'page'));
  await addFolder('/view/', path.join(DIST, 'view'));
  const { resolve } = createRequire(import.meta.url);
  // Its table of exports names this file for browsers alone, so that Node.js would not find it.
  const htm = path.resolve(path.dirname(resolve('htm')), '..');
  await add('/vendor/htm.js', path.join(htm, 'preact', 'standalone.module.js'));
  const index = assets.get('/index.html');
  if (index) assets.set('/', index);
  return assets;
}
