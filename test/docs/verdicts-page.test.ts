import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const script = path.join(root, 'scripts', 'docs', 'verdicts.mjs');
const text = execFileSync(process.execPath, [script, '--json'], { maxBuffer: 2 ** 24 });
const made = JSON.parse(text.toString()) as { page: string; codes: string[] };

test('docs/reference/verdicts.md is what the table says (node scripts/docs/verdicts.mjs)', () => {
  expect(readFileSync(path.join(root, 'docs/reference/verdicts.md'), 'utf8')).toBe(made.page);
});

test('it has each verdict', () => {
  expect(made.codes.length).toBeGreaterThan(20);
  for (const code of made.codes) expect(made.page).toContain(`\n| \`${code}\` | `);
  expect(made.page).not.toMatch(/undefined|\[object/);
});
