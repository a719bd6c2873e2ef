// Writes the manual page, which package.json names under `man`, when the package is packed.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { manPage } from '../dist/cli/man.js';

const folder = path.resolve(import.meta.dirname, '../man');
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, 'gannet.1'), manPage());
