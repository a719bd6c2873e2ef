import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(root, 'docs', 'reference', 'api');

describe('docs/reference/api', () => {
  let made: { pages: [string, string][]; undocumented: string[] };
  beforeAll(() => {
    const args = [path.join(root, 'scripts', 'docs', 'api.mjs'), '--json'];
    const text = execFileSync(process.execPath, args, { maxBuffer: 2 ** 26 });
    made = JSON.parse(text.toString()) as typeof made;
  });

  test('is what the packages export: node scripts/docs/api.mjs writes it', () => {
    expect(readdirSync(folder).sort()).toEqual(made.pages.map(([name]) => name).sort());
    for (const [name, text] of made.pages) {
      expect(readFileSync(path.join(folder, name), 'utf8')).toBe(text);
    }
  });

  test('shows examples as code, and no tag as text', () => {
    for (const [, text] of made.pages) expect(text).not.toMatch(/^ *@\w+/m);
    const [, page] = made.pages.find(([name]) => name === 'checkpointer.md') ?? [];
    expect(page).toContain('```ts\nconst source = new ExternalSource();\n');
  });

  test('has a page for every package, and words for every class and function', () => {
    // The lab is private: nobody installs it.
    const published = readdirSync(path.join(root, 'packages')).filter((name) => name !== 'lab');
    const packages = published.map((name) => `${name}.md`);
    expect(made.pages.map(([name]) => name).sort()).toEqual([...packages, 'README.md'].sort());
    expect(made.undocumented.filter((one) => / (Classes|Functions) /.test(one))).toEqual([]);
  });
});
