import { createRequire } from 'node:module';
import path from 'node:path';

/** The command `gannet` of this workspace, compiled. */
export const GANNET_BIN = path.join(
  path.dirname(createRequire(import.meta.url).resolve('gannet')),
  'bin.js',
);
