import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { asPrimary, asSecondary, configKeys, parseConfig } from '@gannet/contract';

type Document = Record<string, unknown>;

const root = path.resolve(import.meta.dirname, '../..');
const script = path.join(root, 'scripts', 'docs', 'config.mjs');
const keys = configKeys();

/** The value at `network[].primary.mirror` is put there; undefined takes the key away. */
function changed(file: Document, key: string, value: unknown): string {
  const copy = structuredClone(file);
  const steps = key.split('.');
  const last = steps.pop() ?? '';
  let at = copy;
  for (const step of steps) {
    const next = at[step.replace('[]', '')];
    at = (Array.isArray(next) ? next[0] : next) as Document;
  }
  at[last] = value;
  return JSON.stringify(copy);
}

describe('docs/reference/config.md', () => {
  let made: { page: string; example: Document };
  beforeAll(() => {
    const text = execFileSync(process.execPath, [script, '--json'], { maxBuffer: 2 ** 24 });
    made = JSON.parse(text.toString()) as typeof made;
  });
  const takes = (key: string, value: unknown): boolean => {
    try {
      parseConfig(changed(made.example, key, value), 'example');
      return true;
    } catch {
      return false;
    }
  };

  test('is what the schema says: node scripts/docs/config.mjs writes it', () => {
    expect(readFileSync(path.join(root, 'docs/reference/config.md'), 'utf8')).toBe(made.page);
  });

  test('has a row for every key, with words and an example', () => {
    expect(keys.length).toBeGreaterThan(45);
    expect(keys.filter(({ key }) => !made.page.includes(`\n| \`${key}\` |`))).toEqual([]);
    const lacking = keys.filter(({ text, example, form }) => {
      return text.length < 8 || example === undefined || form === '';
    });
    expect(lacking.map(({ key }) => key)).toEqual([]);
  });

  test('names no file of docs that is not there', () => {
    const named = keys.flatMap(({ see }) => (see === undefined ? [] : [see]));
    expect(named.length).toBeGreaterThan(5);
    for (const page of named) readFileSync(path.join(root, 'docs', page));
  });

  test('has examples that are a whole configuration, of both hosts', () => {
    const config = parseConfig(JSON.stringify(made.example), 'example');
    expect(asPrimary(config).primary.seedBytesPerSec).toBe(100 * 2 ** 20);
    expect(asSecondary(config).secondary.memory?.onFull).toBe('spill');
  });

  test('has ranges that hold: what is just outside is refused', () => {
    const numbers = keys.filter(({ form }) => form === 'integer');
    expect(numbers.length).toBeGreaterThan(8);
    for (const { key, min, max } of numbers) {
      expect([key, min === undefined]).toEqual([key, false]);
      expect([key, takes(key, (min ?? 0) - 1)]).toEqual([key, false]);
      if (max !== undefined) expect([key, takes(key, max + 1)]).toEqual([key, false]);
    }
    for (const key of ['fence.timeoutMs', 'primary.checkpointPeriodMs', 'peer.heartbeatMs']) {
      expect([key, takes(key, keys.find((one) => one.key === key)?.min)]).toEqual([key, true]);
    }
  });

  test('says of those keys alone that they are required, without which a file is refused', () => {
    // What spills has nothing to say where nothing spills.
    const spills = /^secondary\.memory\.(onFull|spill)/;
    for (const { key } of keys) {
      if (spills.test(key))
        made.example = JSON.parse(changed(made.example, key, undefined)) as Document;
    }
    for (const { key, isRequired } of keys) {
      expect([key, !takes(key, undefined)]).toEqual([key, isRequired]);
    }
  });
});
