import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import type { CopyWord } from '@gannet/contract';
import { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record } from '../../support/records.js';

// Whose copy may be made a disk: the state files say what the bases hold, the term file whether a
// newer copy is known.

const BIN = path.resolve(import.meta.dirname, '..', '..', '..', 'dist', 'bin.js');

let dir: string;
const at = (name: string): string => path.join(dir, name);
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-recover-'));
  await writeFile(
    at('web.yaml'),
    stringify({
      ...{ vm: 'web', qmp: `unix:${at('qmp')}`, control: at('control'), termFile: at('term') },
      disks: [{ name: 'disk0', device: 'vb0', base: at('base') }],
      secondary: {
        ...{ nbd: `unix:${at('nbd')}`, svm: `unix:${at('svm')}`, peer: `unix:${at('peer')}` },
        journal: at('journal'),
      },
    }),
  );
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The base of a replica that has lost its primary, and what its daemon said last of the copy. */
async function waitingCopy(word: CopyWord): Promise<void> {
  await writeFile(at('base'), Buffer.alloc(65536, 7));
  await writeFile(
    at('base.gannet'),
    JSON.stringify({
      ...{ format: 'gannet-replica-1', image: 'raw', uuid: 'u', vm: 'web', disk: 'disk0' },
      ...{ disks: ['disk0'], sizeBytes: 65536, state: 'protected', epoch: 812 },
      ...{ journal: at('journal'), lastCommit: true, at: '2026-03-01T10:00:00.000Z' },
    }),
  );
  const terms = await TermStore.open({ file: at('term'), vm: 'web' });
  await terms.update(() => record(word, 5));
  await terms.close();
}

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function gannet(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const given = [BIN, ...args, '-c', at('web.yaml'), '--json'];
    execFile(process.execPath, given, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

const stateOf = async (): Promise<unknown> => {
  const { state } = JSON.parse(await readFile(at('base.gannet'), 'utf8')) as { state: unknown };
  return state;
};

describe('gannet recover', () => {
  it('takes the last commit of a copy that nobody has called outdated', async () => {
    await waitingCopy('protected');
    const offered = await gannet('recover');
    expect(offered).toMatchObject({ code: 1, output: expect.stringContaining('--last-commit') });
    expect(await gannet('recover', '--last-commit')).toMatchObject({ code: 0 });
    expect(await stateOf()).toBe('retired');
  });

  it.each([[[]], [['--last-commit']]])('says that the copy is outdated %j', async (options) => {
    await waitingCopy('outdated');
    const { code, output } = await gannet('recover', ...options);
    expect({ code, output: JSON.parse(output) as unknown }).toEqual({
      code: 4,
      output: {
        error: {
          code: 'GANNET_REFUSED',
          message:
            'the copy of web on this host is outdated (term 5): ' + 'the primary has the newer one',
          remedy:
            'The disk of the primary host has more: start the VM there. Only if that disk is ' +
            'lost for good, run `gannet recover web --last-commit --force` on this host: what ' +
            'the primary did alone is then lost.',
        },
      },
    });
    expect(await stateOf()).toBe('protected');
  });

  it('takes an outdated copy for an operator who has been told, and says --force', async () => {
    await waitingCopy('outdated');
    expect(await gannet('recover', '--last-commit', '--force')).toMatchObject({ code: 0 });
    expect(await stateOf()).toBe('retired');
  });

  it('is refused while the term file cannot be read, except with --force', async () => {
    await waitingCopy('protected');
    await writeFile(at('term'), '{');
    expect(await gannet('recover', '--last-commit')).toMatchObject({ code: 1 });
    expect(await stateOf()).toBe('protected');
    expect(await gannet('recover', '--last-commit', '--force')).toMatchObject({ code: 0 });
  });
});

it('a daemon that finds an outdated last commit says that it may go', async () => {
  await waitingCopy('outdated');
  const { code, output } = await gannet('secondary');
  expect(code).toBe(4);
  const remedy = 'start this daemon with --overwrite';
  expect(JSON.parse(output)).toMatchObject({
    error: { code: 'GANNET_REFUSED', remedy: expect.stringContaining(remedy) },
  });
  expect(await stateOf()).toBe('protected');
});
