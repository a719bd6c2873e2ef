import { readdir } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { Command, DEMO, dir, inFreshFolder, processesWith, start, until } from './support.js';

inFreshFolder();

describe('a demonstration', () => {
  const demo = (): Command =>
    start(['--checkpoints', '100000', '--period', '300'], {
      program: DEMO,
      env: { ...process.env, TMPDIR: dir },
      detached: true,
    });

  const moments: readonly [moment: string, said: RegExp][] = [
    ['while it makes its disks', /^/],
    ['while the VM boots', /1\. Boot/],
    ['while the daemons start', /2\. Protect/],
    ['while it seeds', /copying/],
    ['while it makes checkpoints', /epoch 3:/],
  ];
  const ways = ['signal', 'signalGroup'] as const;
  const interruptions = moments.flatMap(([moment, said], at) =>
    // A terminal signals the whole group; every other moment gets that.
    ({ moment, said, way: ways[at % 2] ?? 'signal' }),
  );

  it.each(interruptions)('interrupted $moment ($way) leaves nothing', async ({ said, way }) => {
    const running = demo();
    await until(
      () => running.stdout,
      (text) => said.test(text),
    );
    if (said.test(''))
      await until(
        () => readdir(dir),
        (names) => names.length > 0,
      );
    running[way]('SIGINT');
    const { code, stdout, stderr } = await running.outcome();
    // What is being stopped tells no trouble.
    expect(stdout).toMatch(/interrupted: its processes are being stopped\n$/);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'demo: interrupted\nAll its processes and files have been removed.\n',
    });
    expect(await processesWith(dir)).toEqual([]);
    expect(await readdir(dir)).toEqual([]);
  });

  it('that is killed takes its QEMUs and daemons with it', async () => {
    const running = demo();
    await until(
      () => running.stdout,
      (text) => /epoch 2:/.test(text),
    );
    // Two QEMUs, two daemons, and what keeps the base locked.
    expect((await processesWith(dir)).length).toBe(5);
    running.signal('SIGKILL');
    await running.exited;
    await until(
      () => processesWith(dir),
      (left) => left.length === 0,
    );
  });
});
