import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { PeerStatus } from '@gannet/contract';
import { WebSocket } from 'ws';
import { record } from '../../support/records.js';
import { PeerLink, type PeerLinkOptions } from '../../../src/daemon/peer/peer-link.js';
import { freePort } from '@gannet/test-support/ports.js';
import { awaitPeer } from '../../../src/daemon/primary/await-peer.js';

let dir: string;
let file: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-peer-'));
  file = path.join(dir, 'peer.sock');
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

/** One end, and whom it has refused. */
interface End {
  link: PeerLink;
  readonly refused: string[];
}

const STATUS: Readonly<Record<PeerStatus['role'], PeerStatus>> = {
  primary: {
    ...{ role: 'primary', state: 'protected', epoch: 1, vm: 'ready' },
    record: record('protected', 3, { mustProve: true }),
  },
  secondary: {
    ...{ role: 'secondary', state: 'protected', epoch: 1, vm: 'ready', link: 'none' },
    record: record('outdated', 4),
  },
};

function optionsOf(role: PeerStatus['role'], end: Omit<End, 'link'>): PeerLinkOptions {
  return {
    ...{ lowMs: 200, highMs: 2000, heartbeatMs: 50, vm: 'web', role },
    status: () => STATUS[role],
    onLiveness: () => undefined,
    onStatus: () => undefined,
    onAsk: () => Promise.resolve({}),
    onRefused: (reason) => end.refused.push(reason),
  };
}

async function listening(): Promise<End> {
  const end = { refused: [] };
  const link = await PeerLink.listen({ type: 'unix', path: file }, optionsOf('secondary', end));
  undo.push(() => link.close());
  return { ...end, link };
}

function dialling(at = file): End {
  const end = { refused: [] };
  const link = PeerLink.dial({ type: 'unix', path: at }, optionsOf('primary', end));
  undo.push(() => link.close());
  return { ...end, link };
}

test('each end says what is on its disk as soon as they have greeted', async () => {
  const primary = dialling();
  const secondary = await listening();
  await until(() => primary.link.peer !== undefined && secondary.link.peer !== undefined);
  expect(primary.link.peer?.status.record).toEqual(record('outdated', 4));
  expect(secondary.link.peer?.status.record).toEqual(record('protected', 3, { mustProve: true }));
});

describe('the end that listens', () => {
  test('knows the address from which the other one connects over TCP', async () => {
    const end = { refused: [] };
    const at = { type: 'inet', host: '127.0.0.1', port: await freePort() } as const;
    const secondary = await PeerLink.listen(at, optionsOf('secondary', end));
    undo.push(() => secondary.close());
    expect(secondary.peerAddress).toBeUndefined();
    const primary = PeerLink.dial(at, optionsOf('primary', end));
    undo.push(() => primary.close());
    await until(() => secondary.peer !== undefined);
    expect(secondary.peerAddress).toBe('127.0.0.1');
    expect(primary.peerAddress).toBeUndefined();
  });

  test('keeps little of what a stranger says', async () => {
    const secondary = await listening();
    const stranger = new WebSocket(`ws+unix:${file}:/`);
    const closed = new Promise((resolve) => stranger.once('close', resolve));
    await new Promise((resolve) => stranger.once('open', resolve));
    const vm = 'A'.repeat(900_000);
    stranger.send(JSON.stringify({ type: 'hello', protocol: 1, vm, role: 'primary' }));
    await closed;
    expect(secondary.refused).toEqual(['it does not use the peer protocol']);
  });

  test('refuses a browser, which sends an Origin', async () => {
    const secondary = await listening();
    const browser = new WebSocket(`ws+unix:${file}:/`, { origin: 'https://evil.example' });
    const refused = await new Promise<Error>((resolve) => browser.on('error', resolve));
    expect(refused.message).toContain('401');
    expect(secondary.refused).toEqual(['it comes from a web page of https://evil.example']);
    expect(secondary.link.state).toBe('unknown');
  });
});

describe('the end that dials', () => {
  const waitFor = (link: PeerLink): Promise<void> =>
    awaitPeer({
      link,
      address: { type: 'unix', path: file },
      ...{ vm: 'web', highMs: 2000, heartbeatMs: 50, what: 'the secondary' },
      isThere: () => true,
      signal: new AbortController().signal,
    });

  test('knows why an answering daemon is not its peer, and what to do', async () => {
    const end = { notices: [], refused: [] };
    const at = { type: 'unix', path: file } as const;
    const other = await PeerLink.listen(at, { ...optionsOf('secondary', end), vm: 'db' });
    undo.push(() => other.close());
    const { link } = dialling();
    await until(() => link.refusal !== undefined);
    await expect(waitFor(link)).rejects.toMatchObject({
      code: 'GANNET_NOT_READY',
      message: expect.stringContaining('it belongs to VM db, this daemon to web'),
      remedy: expect.stringContaining('primary.peer'),
    });
    // Its peer comes: what was before no longer counts.
    await other.close();
    await listening();
    await waitFor(link);
    expect(link.refusal).toBeUndefined();
  });

  test('without anybody there says so', async () => {
    await expect(waitFor(dialling().link)).rejects.toMatchObject({
      message: expect.stringContaining('no secondary daemon answers'),
    });
  });

  test('waits longer before it dials a daemon again that is not its peer', async () => {
    const delays = jest.spyOn(globalThis, 'setTimeout');
    undo.push(() => delays.mockRestore());
    const end = { notices: [], refused: [] };
    const at = { type: 'unix', path: file } as const;
    const other = await PeerLink.listen(at, { ...optionsOf('secondary', end), vm: 'db' });
    undo.push(() => other.close());
    dialling();
    await until(() => delays.mock.calls.some(([, ms]) => ms === 1000));
  });

  test('dials again when a connection that is still open has gone silent', async () => {
    const { createServer, connect } = await import('node:net');
    await listening();
    // A cable that can be cut: what is sent goes nowhere, and nobody hears of that.
    const cable = path.join(dir, 'cable.sock');
    let connections = 0;
    let isCut = false;
    const forwarder = createServer((near) => {
      connections += 1;
      const far = connect(file);
      for (const [from, to] of [[near, far] as const, [far, near] as const]) {
        let isDead = false;
        from.on('data', (data) => {
          isDead ||= isCut;
          if (!isDead) to.write(data);
        });
        from.on('error', () => undefined);
        from.on('close', () => to.destroy());
      }
    });
    await new Promise<void>((resolve) => forwarder.listen(cable, resolve));
    undo.push(() => forwarder.close());
    const primary = dialling(cable);
    await until(() => primary.link.state === 'up');
    expect(connections).toBe(1);
    isCut = true;
    await until(() => primary.link.state !== 'up');
    isCut = false;
    // The old connection is dead for good: only a new one brings the link back.
    await until(() => primary.link.state === 'up');
    expect(connections).toBeGreaterThan(1);
  });
});

test('what was under way for long is not read', async () => {
  const { createServer, connect } = await import('node:net');
  let epoch = 1;
  const heard: number[] = [];
  const secondary = await PeerLink.listen(
    { type: 'unix', path: file },
    {
      ...optionsOf('secondary', { refused: [] }),
      highMs: 1200,
      onStatus: (status) => heard.push(status.epoch),
    },
  );
  undo.push(() => secondary.close());
  // What the primary says is kept, and arrives later; what it hears passes.
  let held: (() => void)[] | undefined;
  const cable = path.join(dir, 'cable.sock');
  const forwarder = createServer((near) => {
    const far = connect(file);
    near.on('data', (data) => {
      const pass = (): void => void far.write(data);
      if (held) held.push(pass);
      else pass();
    });
    far.on('data', (data) => near.write(data));
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => forwarder.listen(cable, resolve));
  undo.push(() => forwarder.close());
  const primary = PeerLink.dial(
    { type: 'unix', path: cable },
    {
      ...optionsOf('primary', { refused: [] }),
      status: () => ({ ...STATUS.primary, epoch }),
    },
  );
  undo.push(() => primary.close());
  await until(() => heard.includes(1));
  held = [];
  epoch = 2;
  await until(() => secondary.state === 'lost' && (held?.length ?? 0) > 0);
  expect(primary.state).toBe('up');
  epoch = 3;
  const late = held;
  held = undefined;
  for (const pass of late) pass();
  await until(() => heard.includes(3));
  expect(heard).not.toContain(2);
});

describe('a question', () => {
  test('to a peer that is away fails long before an answer would be late', async () => {
    await expect(dialling().link.ask()).rejects.toMatchObject({
      code: 'GANNET_PEER_UNREACHABLE',
      message: 'no peer link in 2 s',
    });
  });

  test('to a stranger says why that is not the peer', async () => {
    const end = { notices: [], refused: [] };
    const at = { type: 'unix', path: file } as const;
    const other = await PeerLink.listen(at, { ...optionsOf('secondary', end), vm: 'db' });
    undo.push(() => other.close());
    await expect(dialling().link.ask()).rejects.toMatchObject({
      code: 'GANNET_PEER_UNREACHABLE',
      message: expect.stringContaining('it belongs to VM db, this daemon to web'),
    });
  });

  test('ends with the link over which it was asked', async () => {
    const end = { refused: [] };
    let isAsked = false;
    const secondary = await PeerLink.listen(
      { type: 'unix', path: file },
      {
        ...optionsOf('secondary', end),
        onAsk: () => {
          isAsked = true;
          return new Promise(() => undefined);
        },
      },
    );
    undo.push(() => secondary.close());
    const answer = expect(dialling().link.ask()).rejects.toMatchObject({
      code: 'GANNET_PEER_UNREACHABLE',
      message: 'the peer link broke',
    });
    await until(() => isAsked);
    await secondary.close();
    await answer;
  });

  test('fails with what the other daemon says is wrong', async () => {
    const end = { refused: [] };
    const onAsk = (): Promise<unknown> => Promise.reject(new Error('QEMU is gone'));
    const at = { type: 'unix', path: file } as const;
    const secondary = await PeerLink.listen(at, { ...optionsOf('secondary', end), onAsk });
    undo.push(() => secondary.close());
    await expect(dialling().link.ask()).rejects.toMatchObject({
      code: 'GANNET_PEER_FAILED',
      message: 'QEMU is gone',
    });
  });
});

describe('the socket of the peer link', () => {
  const listen = async (): Promise<void> => {
    await listening();
  };

  test('is not put in the place of a file, which stays as it is', async () => {
    await writeFile(file, 'the only copy of a disk');
    await expect(listen()).rejects.toMatchObject({
      code: 'GANNET_CONFIG',
      message: expect.stringContaining('a file that is not a socket has this name'),
    });
    expect(await readFile(file, 'utf8')).toBe('the only copy of a disk');
  });

  test('is not taken from another that answers there, such as QEMU', async () => {
    await listen();
    await expect(listen()).rejects.toMatchObject({ code: 'GANNET_BUSY' });
    expect((await Promise.allSettled([listen(), listen()])).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
  });

  test('goes to one of several daemons that start at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 6 }, listen));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('is for the user of the daemon alone, and goes with it', async () => {
    const { link } = await listening();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await link.close();
    expect(await readdir(dir)).toEqual([]);
  });
});
