/** docs/reference/commands.md against the contract: exit codes and methods. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { EXIT, type MethodName, METHODS } from '@gannet/contract';

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/reference/commands.md'), 'utf8');

/** What is used of a zod schema here. */
interface Checked {
  safeParse(value: unknown): { readonly success: boolean };
}

/** The rows of the table whose head begins with these words, cell by cell. */
function tableOf(head: string): string[][] {
  const [, after = ''] = page.split(`\n| ${head} |`);
  const [, , ...lines] = after.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('| '));
  return lines.slice(0, end < 0 ? undefined : end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe('exit codes', () => {
  const named = Object.entries(EXIT).map(([name, code]) => [String(code), name]);
  test('are those of EXIT, each beginning with its name', () => {
    const rows = tableOf('exit code').map(([code = '', meaning = '']) => [
      code,
      /^\w+/.exec(meaning)?.[0],
    ]);
    expect(rows).toEqual(named);
  });
  test('are those that --help lists', () => {
    const bin = createRequire(import.meta.url)
      .resolve('gannet')
      .replace(/index\.js$/, 'bin.js');
    const help = execFileSync(process.execPath, [bin, '--help'], { encoding: 'utf8' });
    expect(help).toContain(`Exit codes: ${named.map((pair) => pair.join(' ')).join(', ')}.`);
  });
});

test('the methods of the control socket are those of METHODS', () => {
  const rows = (Object.keys(METHODS) as MethodName[]).map((name) => {
    const { roles, params, text } = METHODS[name];
    const keys = Object.entries(params.shape as Record<string, Checked>).map(([key, schema]) => {
      return `\`${key}\`${schema.safeParse(undefined).success ? '' : ' (required)'}`;
    });
    return [`\`${name}\``, roles.length === 2 ? 'both' : roles[0], keys.join(', '), text];
  });
  expect(tableOf('method')).toEqual(rows);
});

test('a method that can be forced has the parameter, and no other has it', () => {
  for (const [name, { isForceable, params }] of Object.entries(METHODS)) {
    expect([name, 'force' in params.shape]).toEqual([name, isForceable]);
  }
});
