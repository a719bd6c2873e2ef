// Packs every package as `pnpm publish` would, with the versions that `workspace:` stands for:
//
//   node scripts/pack.mjs FOLDER
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/pack.mjs FOLDER');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const { packageManager } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const pnpm = ['--yes', '--prefer-offline', packageManager, '--pm-on-fail=ignore'];
// The lab is private: nobody installs it.
const pack = ['--recursive', '--filter', './packages/*', '--filter', '!@gannet/lab', 'pack'];
execFileSync('npx', [...pnpm, ...pack, '--pack-destination', path.resolve(folder)], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});
