import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config/load.js';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-config-'));
  file = path.join(dir, 'web.yaml');
  const disks = [{ name: 'root', device: 'vb0' }];
  const fence = { command: ['/usr/local/sbin/fence'] };
  await writeFile(file, JSON.stringify({ vm: 'web', qmp: 'unix:/run/q', disks, fence }));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;

describe('a configuration names commands that the daemon runs', () => {
  test.each([0o602, 0o646, 0o666])('so one of mode %o is refused', async (mode) => {
    await chmod(file, mode);
    await expect(loadConfig(file)).rejects.toMatchObject({
      code: 'GANNET_CONFIG',
      message: expect.stringContaining('every user of this host may write it'),
      remedy: expect.stringContaining(`chmod go-w ${file}`),
    });
    // The remedy helps.
    await chmod(file, mode & ~0o022);
    expect((await loadConfig(file)).vm).toBe('web');
  });

  test('so one that another group may write is refused', async () => {
    await chmod(file, 0o664);
    const group = isRoot ? 12_345 : process.getgid?.();
    if (isRoot) await chown(file, 0, 12_345);
    await expect(loadConfig(file)).rejects.toMatchObject({
      message: expect.stringContaining(`the group ${group} may write it`),
    });
    // Root's own group can do so anyway.
    if (isRoot) await chown(file, 0, 0);
    else await chmod(file, 0o644);
    expect((await loadConfig(file)).vm).toBe('web');
  });

  test('so one in a folder where everybody may replace it is refused', async () => {
    await chmod(dir, 0o777);
    await expect(loadConfig(file)).rejects.toMatchObject({
      message: expect.stringContaining(`every user of this host may write the folder ${dir}`),
      remedy: expect.stringContaining(`chmod go-w ${dir}`),
    });
    // As in /tmp: there, everybody can remove only files of his own.
    await chmod(dir, 0o1777);
    expect((await loadConfig(file)).vm).toBe('web');
  });
});
