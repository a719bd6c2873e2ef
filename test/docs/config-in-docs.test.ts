import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { asPrimary, asSecondary, parseConfig } from '@gannet/contract';

type Document = Record<string, unknown>;

const root = path.resolve(import.meta.dirname, '../..');
const { parse } = createRequire(path.join(root, 'packages/gannet/package.json'))('yaml') as {
  parse: (text: string) => Document;
};
const pages = execFileSync('git', ['ls-files', '*.md'], { cwd: root })
  .toString()
  .trim()
  .split('\n');

/** What a page leaves out when it shows a piece of a configuration. */
const REST: Document = {
  vm: 'web',
  qmp: 'unix:/run/q',
  disks: [{ name: 'disk0', device: 'vb0', base: '/b', size: '1 GiB' }],
  primary: { nbd: 'unix:/run/n', migrate: 'unix:/run/m', peer: 'unix:/run/p' },
  tls: { dir: '/etc/gannet/tls' },
  http: { listen: '127.0.0.1:0' },
};

const isSection = (value: unknown): value is Document =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function merged(below: unknown, above: unknown): unknown {
  if (!isSection(below) || !isSection(above)) return above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, key in above ? merged(below[key], above[key]) : below[key]]),
  );
}

const blocks = pages.flatMap((page) => {
  const text = readFileSync(path.join(root, page), 'utf8');
  return [...text.matchAll(/^ *```yaml\n([^]*?)^ *```$/gm)].map(([, block = ''], at) => ({
    name: `${page} ${at + 1}`,
    block,
  }));
});
/** The others are Prometheus'. */
const ours = blocks.filter(({ block }) => !/^(scrape_configs|rule_files|groups):/m.test(block));

describe('YAML in the documentation', () => {
  test('is found', () => {
    const found = new Set(ours.map(({ name }) => name.split(' ')[0]));
    expect([...found]).toEqual(
      expect.arrayContaining([
        ...['README.md', 'docs/how-to/tls.md', 'docs/reference/config.md'],
        ...['libvirt', 'memory', 'network', 'qcow2'].map((page) => `docs/how-to/${page}.md`),
      ]),
    );
  });

  test.each(ours)('$name is what a configuration takes', ({ block, name }) => {
    const config = parseConfig(JSON.stringify(merged(REST, parse(block))), name);
    expect(config.vm).not.toBe('');
  });

  test('that of the README is a whole file, for both hosts', () => {
    const { block = '' } = ours.find(({ name }) => name === 'README.md 1') ?? {};
    const config = parseConfig(block, 'README.md');
    expect(asPrimary(config).primary.checkpointPeriodMs).toBe(2000);
    expect(asSecondary(config).secondary.nbd).toMatchObject({ type: 'unix' });
  });
});
