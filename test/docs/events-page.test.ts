import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const script = path.join(root, 'scripts', 'docs', 'events.mjs');
const text = execFileSync(process.execPath, [script, '--json'], { maxBuffer: 2 ** 24 });
const made = JSON.parse(text.toString()) as { page: string; kinds: string[] };

test('docs/reference/events.md is what the table says (node scripts/docs/events.mjs)', () => {
  expect(readFileSync(path.join(root, 'docs/reference/events.md'), 'utf8')).toBe(made.page);
});

test('it has each kind, with a sentence, a level and a text', () => {
  expect(made.kinds.length).toBeGreaterThan(35);
  for (const kind of made.kinds) {
    const section = made.page.split(`## \`${kind}\`\n`)[1]?.split('\n## ')[0] ?? '';
    expect([kind, /^\n[A-Z].*\. From: /.test(section)]).toEqual([kind, true]);
    expect([kind, /\n\| (error|warn|info|debug) \| \S/.test(section)]).toEqual([kind, true]);
  }
  expect(made.page).not.toMatch(/undefined|\[object/);
});
