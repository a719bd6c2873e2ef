import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';

interface Entry {
  readonly code: string;
  readonly from: string;
  readonly meaning: string;
  readonly remedies: readonly string[];
}

const root = path.resolve(import.meta.dirname, '../..');
const script = path.join(root, 'scripts', 'docs', 'errors.mjs');

describe('docs/errors.md', () => {
  let found: { page: string; errors: Entry[]; findings: [string, string][]; unlisted: string[] };
  beforeAll(() => {
    const text = execFileSync(process.execPath, [script, '--json'], { maxBuffer: 2 ** 24 });
    found = JSON.parse(text.toString()) as typeof found;
  });

  test('is what the code says: node scripts/docs/errors.mjs writes it', () => {
    expect(readFileSync(path.join(root, 'docs', 'errors.md'), 'utf8')).toBe(found.page);
  });

  test('has a sentence and a remedy for every code', () => {
    expect(found.errors.length).toBeGreaterThan(60);
    const lacking = found.errors.filter(({ meaning, remedies }) => {
      return !/^\S.*\.$/.test(meaning) || remedies.length === 0;
    });
    expect(lacking.map(({ from, code }) => `${from} ${code}`)).toEqual([]);
    expect(found.findings.length).toBeGreaterThan(40);
    expect(found.findings.filter(([, why]) => !/^[A-Z].*\.$/.test(why))).toEqual([]);
  });

  test('leaves out no code that an error is made with', () => {
    expect(found.unlisted).toEqual([]);
  });
});
