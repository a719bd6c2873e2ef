/** What the READMEs of the packages name is there. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const packages = readdirSync(path.join(root, 'packages'));

function sourcesOf(name: string): string {
  const folder = path.join(root, 'packages', name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
    .join('\n');
}

/** Every word of every source. */
const words = new Set(packages.flatMap((name) => sourcesOf(name).match(/\w+/g) ?? []));

/** `camelCase`, `PascalCase` and `SCREAMING_SNAKE` in backticks, also within a signature. */
function namesIn(readme: string): string[] {
  const prose = readme.replace(/^```[\s\S]*?^```/gm, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)]
    .filter(([, code = '']) => !/[/ -]/.test(code))
    .flatMap(([, code = '']) => code.match(/\b[A-Za-z]\w*\b/g) ?? [])
    .filter((name) => /[a-z][A-Z]|^[A-Z]+_[A-Z_]+$/.test(name));
}

describe.each(packages)('the README of %s', (name) => {
  const readme = readFileSync(path.join(root, 'packages', name, 'README.md'), 'utf8');

  test('names nothing that the code does not have', () => {
    expect(namesIn(readme).filter((one) => !words.has(one))).toEqual([]);
  });
});

test.each(['primary.ts', 'secondary.ts'])(
  'the README of the driver has each method of %s',
  (file) => {
    const folder = path.join(root, 'packages', 'qmp-driver');
    const source = readFileSync(path.join(folder, 'src', file), 'utf8');
    const from = source.search(/^export class \w+Driver/m);
    const driver = source.slice(from, source.indexOf('\n}\n', from));
    const methods = [...driver.matchAll(/^ {2}(?:async )?([a-z]\w*)(?:<[^>]*>)?\(/gm)].map(
      ([, name = '']) => name,
    );
    const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');
    expect(methods.length).toBeGreaterThan(4);
    const lacking = methods.filter(
      (one) => one !== 'constructor' && !readme.includes(`\`${one}\``),
    );
    expect(lacking).toEqual([]);
  },
);

test('the READMEs name a good part of the code', () => {
  const all = packages.flatMap((name) =>
    namesIn(readFileSync(path.join(root, 'packages', name, 'README.md'), 'utf8')),
  );
  expect(new Set(all).size).toBeGreaterThan(80);
});

describe('the table of packages in the README', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| \[[^\]]+\]\(packages\/([\w-]+)\) \|/gm)];

  test('has each package that is published once', () => {
    const named = rows.map(([, name = '']) => name).sort();
    expect(named).toEqual(packages.filter((name) => name !== 'lab').sort());
  });
});

describe('the first screen of the README', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const screen = readme.split('\n').slice(0, 24).join('\n');

  test.each([
    ['what it is, and for whom', /Fault tolerance for QEMU virtual machines[^]*For people who/],
    ['the memory that it needs', /twice the VM's memory, up to 1 GiB of buffers/],
    ['the Node.js and QEMU that it needs', /Node\.js 20\.11 or later[^]*QEMU, 7\.2 or later/],
    ['that it was never run under KVM', /never run it under KVM/],
    ['what a failover undoes', /failover undoes[^]*since its last checkpoint: 2 seconds/],
    ['the exception: a network that is compared', /if the network cards are \[compared\]/],
    ['that people decide by default', /you do, by default/],
    ['what it does not do', /It does not[^]*backups[^]*pass-through/],
  ])('says %s', (_what, words) => {
    expect(screen).toMatch(words);
  });

  test('no text promises that nothing is lost', () => {
    const texts = ['README.md', 'packages/gannet/README.md', 'packaging/debian/control'];
    for (const text of texts) {
      expect(readFileSync(path.join(root, text), 'utf8')).not.toMatch(/no (lost write|data loss)/i);
    }
  });
});
