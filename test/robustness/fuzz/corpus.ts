import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createHash } from 'node:crypto';

/** Inputs in a folder, in the order of their names. */
export function readCorpus(folder: string): Buffer[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(path.join(folder, name)));
}

/** @returns its file, named after its contents */
export function saveInput(folder: string, input: Buffer): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16));
  writeFileSync(file, input);
  return file;
}
