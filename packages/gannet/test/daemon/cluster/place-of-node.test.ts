/** The files of a node, as `gannet cluster-role` finds them. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record } from '../../support/records.js';

const BIN = path.resolve(import.meta.dirname, '../../../dist/bin.js');
let dir: string;
const at = (name: string): string => path.join(dir, name);

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-place-'));
  const disks = ['a', 'b'].map((name) => ({ name, device: name, base: at(name) }));
  const files = { control: at('control'), termFile: at('term') };
  const secondary = { nbd: `unix:${at('nbd')}`, svm: `unix:${at('svm')}`, journal: at('journal') };
  await writeFile(
    at('web.yaml'),
    stringify({ vm: 'web', qmp: `unix:${at('qmp')}`, ...files, disks, secondary }),
  );
  for (const name of ['a', 'b']) await writeFile(at(name), '');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function state(disk: string, word: string): Promise<void> {
  const ids = { format: 'gannet-replica-1', image: 'raw', uuid: 'u', vm: 'web', disk };
  const rest = { disks: ['a', 'b'], sizeBytes: 0, state: word, epoch: 8, journal: at('journal') };
  await writeFile(at(`${disk}.gannet`), JSON.stringify({ ...ids, ...rest }));
}

function ask(...options: string[]): Promise<string> {
  const given = [BIN, 'cluster-role', '-c', at('web.yaml'), '--node', 'n1', ...options];
  return new Promise((resolve) => {
    execFile(process.execPath, given, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
}

test('disks that were never a replica run where the cluster says so', async () => {
  expect(await ask('--current', 'n1')).toBe('role=run\nwhy=\nworth=own\n');
  expect(await ask('--initial', 'n1')).toMatch(/^role=run$/m);
  expect(await ask('--current', 'n2', '--json')).toBe(
    '{"role":"secondary","why":"","worth":"own"}\n',
  );
  expect(await ask('--current', 'n1', '--claim', 'n2')).toMatch(/^role=wait\nwhy=n2 has begun/);
});

test('a replica that is not complete never runs, and its takeover is given back', async () => {
  await state('a', 'protected');
  await state('b', 'protected');
  expect(await ask('--current', 'n1')).toMatch(/^role=wait\nwhy=the disks here are a replica/);
  expect(await ask('--current', 'n2', '--claim', 'n1')).toMatch(/^role=give-back$/m);
  await state('a', 'failed-over');
  expect(await ask('--current', 'n2', '--claim', 'n1')).toMatch(/^role=confirm\n.*worth=journal/s);
  expect(await ask('--current', 'n1')).toMatch(/^role=recover$/m);
});

test('the term file counts, and what cannot be read is an error', async () => {
  const terms = await TermStore.open({ file: at('term'), vm: 'web' });
  await terms.update(() => record('taken-over', 5));
  await terms.close();
  expect(await ask('--current', 'n2')).toMatch(/^role=wait\nwhy=the cluster names n2/);
  await writeFile(at('a.gannet'), '{');
  expect(await ask('--current', 'n1')).toMatch(/a\.gannet can't be read/);
  expect(await ask()).toMatch(/a\.gannet can't be read/);
});
