import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type FenceOutcome, runFence } from '../../src/daemon/fence.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-fence-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A script that may write the ids of what it starts to `$PIDS`. */
function fence(
  script: string,
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<FenceOutcome> {
  const { timeoutMs = 60_000, signal } = options;
  const command = ['/bin/sh', '-c', `PIDS=${dir}/pids; ${script}`];
  return runFence({ command, delayMs: 0, timeoutMs }, { vm: 'web', target: 'primary', signal });
}

async function pids(): Promise<number[]> {
  const text = await readFile(path.join(dir, 'pids'), 'utf8').catch(() => '');
  return text.trim().split(/\s+/).filter(Boolean).map(Number);
}

async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // A killed child that nobody has waited for yet is a zombie.
  return stat !== '' && !/\) Z /.test(stat);
}

async function untilEnded(pid: number): Promise<void> {
  while (await isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('a fence', () => {
  test('is told the VM and the role to be fenced, and reports its output', async () => {
    const outcome = await fence('echo "$GANNET_VM $GANNET_FENCE"; echo oops >&2; exit 3');
    expect(outcome.succeeded).toBe(false);
    expect(outcome.words).toMatch(/^exit code 3 (web primary\noops|oops\nweb primary)$/);
  });

  test('that cannot be started has failed', async () => {
    const command = [path.join(dir, 'missing')];
    const outcome = await runFence(
      { command, delayMs: 0, timeoutMs: 60_000 },
      { vm: 'web', target: 'primary' },
    );
    expect(outcome).toMatchObject({ succeeded: false, words: expect.stringContaining('ENOENT') });
  });

  test('has succeeded with its exit, though a background child holds its output', async () => {
    const outcome = await fence('sleep 3600 & echo $! > "$PIDS"; echo off');
    const [sleeper = 0] = await pids();
    try {
      expect(outcome).toEqual({ succeeded: true, words: 'exit code 0 off' });
      expect(await isRunning(sleeper)).toBe(true);
    } finally {
      process.kill(sleeper, 'SIGKILL');
    }
  });

  test('that takes too long is killed with all that it started', async () => {
    const script = 'sleep 3600 & echo $! >> "$PIDS"; echo $$ >> "$PIDS"; wait';
    const outcome = await fence(script, { timeoutMs: 500 });
    expect(outcome.succeeded).toBe(false);
    expect(outcome.words).toContain('no exit within 500 ms');
    const started = await pids();
    expect(started).toHaveLength(2);
    for (const pid of started) await untilEnded(pid);
  });

  test('can be stopped, with all that it started', async () => {
    const stop = new AbortController();
    const running = fence('sleep 3600 & echo $! >> "$PIDS"; wait', { signal: stop.signal });
    while ((await pids()).length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort();
    expect(await running).toMatchObject({ succeeded: false });
    for (const pid of await pids()) await untilEnded(pid);
  });

  test('is not started when it is not wanted any more', async () => {
    const outcome = await fence('echo 1 > "$PIDS"', { signal: AbortSignal.abort() });
    expect(outcome.succeeded).toBe(false);
    expect(await pids()).toEqual([]);
  });
});
