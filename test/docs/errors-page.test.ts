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

describe('docs/reference/errors.md', () => {
  let found: { page: string; errors: Entry[]; findings: [string, string][]; unlisted: string[] };
  beforeAll(() => {
    const text = execFileSync(process.execPath, [script, '--json'], { maxBuffer: 2 ** 24 });
    found = JSON.parse(text.toString()) as typeof found;
  });

  test('is what the code says: node scripts/docs/errors.mjs writes it', () => {
    expect(readFileSync(path.join(root, 'docs/reference/errors.md'), 'utf8')).toBe(found.page);
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

  describe('gives a text the remedies that the code gives it', () => {
    const rows = (): (readonly [says: string, remedy: string])[] =>
      [...found.page.matchAll(/^\| (.+) \| (.+) \|$/gm)].map(
        ([, says = '', remedy = '']) => [says, remedy] as const,
      );
    const remediesOf = (text: string): string[] =>
      rows().flatMap(([says, remedy]) => (says.includes(text) ? [remedy] : []));

    test('by one condition: a QEMU that has ended is not one that hangs', () => {
      expect(remediesOf("can't fail over: the secondary VM has ended")).toEqual([
        'Start the secondary again: its daemon first, then its QEMU with -incoming, ' +
          'or -S for vsmr.',
      ]);
    });
    test('by a condition that gives both at once', () => {
      expect(remediesOf('no secondary daemon answers on')).toEqual([
        'Start it: on the secondary host, run `gannet secondary …`.',
      ]);
      expect(remediesOf('is not the secondary: …')).toEqual([
        expect.stringMatching(/^Use one version of Gannet on both hosts/),
      ]);
    });
    test('by two conditions that have nothing to do with each other: all of them', () => {
      const remedies = remediesOf('waiting for …: the replica is …');
      expect(remedies).toHaveLength(1);
      expect(remedies[0]).toMatch(/^Restart the secondary: .* Or: The secondary has taken over/);
    });
    test('and has no error of the lab, which nobody installs', () => {
      expect(rows().filter(([says]) => says === 'interrupted')).toEqual([]);
    });
    test('each text in a row of its own', () => {
      expect(rows().filter(([says]) => says.includes('; or: '))).toEqual([]);
    });
  });

  test('leaves out no code that an error is made with', () => {
    expect(found.unlisted).toEqual([]);
  });
});
