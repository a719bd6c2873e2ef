/** Who may use the control socket of a service that has a group. As root, to be several users. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

const DIST = path.resolve(import.meta.dirname, '../../../dist/daemon/control/control-server.js');
const CONTRACT = path.resolve(import.meta.dirname, '../../../../contract/dist/index.js');
const NOBODY = 65534;
const GROUP = 4242;
const STRANGERS = 4343;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-group-'));
  // As systemd makes it: RuntimeDirectoryMode=0750, Group=.
  await chown(dir, 0, GROUP);
  await chmod(dir, 0o750);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const node = (code: string): string[] => [process.execPath, '--input-type=module', '-e', code];

test('its members, and no others, may ask the daemon', async () => {
  const socket = path.join(dir, 'web.sock');
  const serve = `process.umask(0o077);
    const { ControlServer } = await import('${DIST}');
    await ControlServer.listen('${socket}', { status: () => ({ fine: true }) });
    console.log('listening');`;
  const daemon = spawn('setpriv', [`--regid=${GROUP}`, '--clear-groups', ...node(serve)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(daemon.stdout, 'data');
    const ask = `const { ControlClient } = await import('${CONTRACT}');
      const asked = ControlClient.connect('${socket}').then((client) => client.request('status'));
      const said = await asked.catch(({ message, remedy }) => message + ': ' + remedy);
      console.log(JSON.stringify(said));
      process.exit();`;
    const said = (gid: number): unknown => {
      const who = [`--reuid=${NOBODY}`, `--regid=${gid}`, '--clear-groups'];
      const { stdout } = spawnSync('setpriv', [...who, ...node(ask)], { encoding: 'utf8' });
      return JSON.parse(stdout);
    };
    expect(said(GROUP)).toEqual({ fine: true });
    expect(said(STRANGERS)).toMatch(
      /^this user may not use the daemon's socket .* as a member of the group of that socket/,
    );
  } finally {
    daemon.kill();
  }
});
