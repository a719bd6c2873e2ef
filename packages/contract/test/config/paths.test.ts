import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makePlaces, placesOf } from '../../src/config/paths.js';

describe('places', () => {
  test('are those of the system by default', () => {
    expect(placesOf({})).toEqual({
      configDir: '/etc/gannet',
      stateDir: '/var/lib/gannet',
      runDir: '/run/gannet',
    });
  });

  test('are those that systemd gives a service, the first of several', () => {
    const env = {
      CONFIGURATION_DIRECTORY: '/c',
      STATE_DIRECTORY: '/s:/t',
      RUNTIME_DIRECTORY: '/r',
    };
    expect(placesOf(env)).toEqual({ configDir: '/c', stateDir: '/s', runDir: '/r' });
  });

  test('are before all what GANNET_* says; an empty variable says nothing', () => {
    const env = { GANNET_RUN_DIR: '/x', RUNTIME_DIRECTORY: '/r', GANNET_STATE_DIR: '' };
    expect(placesOf(env)).toMatchObject({ runDir: '/x', stateDir: '/var/lib/gannet' });
  });
});

describe('makePlaces', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-places-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('makes what is needed, for its owner alone, and nothing else', async () => {
    const at = (name: string): string => path.join(dir, name);
    const places = { configDir: at('c'), stateDir: at('a/state'), runDir: at('run') };
    await makePlaces([at('a/state/web.journal'), at('other/web.sock')], places);
    expect((await stat(at('a/state'))).mode & 0o777).toBe(0o700);
    await expect(stat(at('run'))).rejects.toThrow('ENOENT');
    await expect(stat(at('other'))).rejects.toThrow('ENOENT');
    await makePlaces([at('a/state/web.journal')], places);
  });

  test('says how to have others when it may not', async () => {
    const stateDir = path.join(dir, 'file', 'state');
    await writeFile(path.join(dir, 'file'), '');
    const places = { configDir: '/c', stateDir, runDir: '/r' };
    const error: unknown = await makePlaces([`${stateDir}/j`], places).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'GANNET_CONFIG',
      message: expect.stringContaining(`the folder ${stateDir} cannot be created`),
      remedy: expect.stringContaining('GANNET_STATE_DIR'),
    });
  });
});
