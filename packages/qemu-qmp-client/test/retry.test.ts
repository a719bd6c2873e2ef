import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connectWithRetry } from '../src/index.js';
import { FakeQemu } from '../src/testing/index.js';
import { rejection } from './support/harness.js';

let folder: string;
let target: { kind: 'unix'; path: string };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qmp-retry-'));
  target = { kind: 'unix', path: join(folder, 'qmp.sock') };
});

afterEach(() => rm(folder, { recursive: true }));

describe('connectWithRetry', () => {
  it('waits until there is a socket, past one that hangs up', async () => {
    const failures: string[] = [];
    let connections = 0;
    const appear = async (): ReturnType<typeof FakeQemu.listen> =>
      FakeQemu.listen({
        path: target.path,
        onConnect: (peer) => {
          connections += 1;
          if (connections === 1) void peer.drop();
        },
      });
    let listening: ReturnType<typeof FakeQemu.listen> | undefined;
    const client = await connectWithRetry({
      target,
      deadlineMs: 10_000,
      retryDelayMs: 5,
      onAttemptFailed: ({ code }) => {
        failures.push(code);
        listening ??= appear();
      },
    });
    expect(client.state).toBe('open');
    expect(failures[0]).toBe('QMP_DIAL_FAILED');
    expect(failures).toContain('QMP_EARLY_CLOSE');
    await client.close();
    await (await listening)?.close();
  });

  it('gives up at its deadline, with the last cause', async () => {
    const error = await rejection(connectWithRetry({ target, deadlineMs: 30, retryDelayMs: 1 }));
    expect(error).toMatchObject({
      code: 'QMP_CONNECT_TIMEOUT',
      cause: { code: 'QMP_DIAL_FAILED' },
    });
  });

  it('gives up when its signal fires, before or later', async () => {
    const controller = new AbortController();
    const waiting = rejection(
      connectWithRetry({ target, deadlineMs: 0, signal: controller.signal, retryDelayMs: 60_000 }),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort();
    expect((await waiting).code).toBe('QMP_ABORTED');
    const { signal } = controller;
    expect((await rejection(connectWithRetry({ target, deadlineMs: 0, signal }))).code).toBe(
      'QMP_ABORTED',
    );
  });

  it('fails at once where time heals nothing', async () => {
    const { close } = await FakeQemu.listen({
      path: target.path,
      greet: false,
      onConnect: (peer) => peer.sendRaw('SSH-2.0\r\n'),
    });
    const error = await rejection(connectWithRetry({ target, deadlineMs: 60_000 }));
    expect(error.code).toBe('QMP_GREETING_MISSING');
    await close();
    await writeFile(join(folder, 'file'), '');
    const inAFile = { kind: 'unix', path: join(folder, 'file', 'x') } as const;
    const impossible = await rejection(connectWithRetry({ target: inAFile, deadlineMs: 60_000 }));
    expect(impossible.code).toBe('QMP_DIAL_FAILED');
  });
});
