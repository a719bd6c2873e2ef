// Puts the code of the command into few files, dist/gannet*.js, when the package is packed: Node.js
// takes long to find and compile the hundreds that it comes from. The daemons stay as they are
// compiled: they start once, and share their modules with those who import the package.
import { build } from 'esbuild';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Of Node.js: ws and commander load them when they start, for what no command does. */
const LAZY = /^(node:)?(https|tls|zlib|querystring|child_process)$/;
const root = path.resolve(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
for (const file of readdirSync(dist)) {
  if (/^gannet[-.]/.test(file)) rmSync(path.join(dist, file));
}

const { metafile } = await build({
  entryPoints: { gannet: path.join(dist, 'bin.js') },
  outdir: dist,
  chunkNames: 'gannet-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.11',
  minifySyntax: true,
  minifyWhitespace: true,
  metafile: true,
  absWorkingDir: root,
  plugins: [
    {
      name: 'what stays out',
      setup: ({ onResolve, onLoad }) => {
        onResolve({ filter: /^\.\/daemon\// }, () => ({ external: true }));
        // The messages of zod in other languages; ours are in findings.ts.
        onResolve({ filter: /locales\/index\.js$/ }, ({ path: file, importer }) =>
          importer.includes('/zod/') ? { path: file, namespace: 'none' } : undefined,
        );
        onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {};' }));
        onResolve({ filter: LAZY }, ({ path: name, kind, namespace }) =>
          kind === 'require-call' && namespace !== 'lazy'
            ? { path: name, namespace: 'lazy' }
            : undefined,
        );
        onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path: name }) => ({
          contents: `module.exports = new Proxy({}, { get: (_, key) => require('${name}')[key] });`,
        }));
      },
    },
  ],
});

// Modules of CommonJS ask for those of Node.js, all through one function in one of the files.
const requiring = Object.keys(metafile.outputs).filter((file) => {
  const text = readFileSync(path.join(root, file), 'utf8');
  if (!text.includes('typeof require')) return false;
  const lines = text.split('\n');
  const at = lines[0].startsWith('#!') ? 1 : 0;
  lines.splice(
    at,
    0,
    "import { createRequire } from 'node:module';" +
      'const require = createRequire(import.meta.url);',
  );
  writeFileSync(path.join(root, file), lines.join('\n'));
  return true;
});
if (requiring.length !== 1) throw new Error(`require() in ${requiring.join(' and ')}`);

/** Of the packages that are in it now, which their licences want. */
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((file) => {
    return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [];
  }),
);
const licences = [...packages].sort().map((name) => {
  const at = path.resolve(root, name);
  const { name: title, version } = JSON.parse(readFileSync(path.join(at, 'package.json'), 'utf8'));
  return `${title} ${version}\n\n${readFileSync(path.join(at, 'LICENSE'), 'utf8').trim()}\n`;
});
writeFileSync(path.join(dist, 'gannet-licenses.txt'), licences.join('\n---\n\n'));
