import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { LabVm } from '@gannet/lab';
import {
  type Json,
  MIB,
  type Outcome,
  dir,
  diskOf,
  errorOf,
  expectGuestWell,
  gannet,
  graphOf,
  inFreshFolder,
  makePair,
  socketsIn,
  stagesOf,
  start,
  startDaemon,
  until,
  undoAfter,
} from './support.js';

inFreshFolder();

describe('the commands along the life of a pair', () => {
  it('say where it stands, refuse what would harm, and end with their codes', async () => {
    // Checkpoints come when they are asked for, and not before.
    const pair = await makePair({ periodMs: 3_600_000 });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const onPrimary = ['-c', pair.primaryDaemon.configPath];
    const onSecondary = ['-c', pair.secondaryDaemon.configPath];
    const secondaryStatus = (): Promise<Outcome> => gannet('status', ...onSecondary);

    expect(await gannet('status', ...onPrimary)).toMatchObject({
      code: 3,
      json: { role: 'primary', state: 'unprotected', primaryVm: 'ready' },
    });
    const seeding = await until(secondaryStatus, ({ json }) => json['secondaryVm'] !== 'awaited');
    expect(seeding).toMatchObject({
      code: 3,
      json: { role: 'secondary', state: 'seeding', secondaryVm: 'ready', mayFailOver: false },
    });
    for (const early of [
      await gannet('checkpoint', ...onPrimary),
      await gannet('failover', ...onSecondary),
      await gannet('failover', '--force', ...onSecondary),
    ]) {
      expect(early.code).toBe(4);
      expect(errorOf(early)).toMatchObject({ code: 'GANNET_REFUSED' });
    }

    const both = await Promise.all([
      gannet('protect', ...onPrimary),
      gannet('protect', ...onPrimary),
    ]);
    const [done, late] = both[0].code === 0 ? both : [both[1], both[0]];
    expect(done).toMatchObject({ code: 0, json: { state: 'protected' } });
    const stages = ['check', 'seed', 'attach', 'colo', 'first checkpoint', 'finish'];
    expect(stagesOf(done)).toEqual(stages);
    expect(late.code).toBe(4);
    expect(errorOf(late)).toMatchObject({ code: 'GANNET_BUSY' });
    expect((await gannet('protect', ...onPrimary)).code).toBe(4);
    expect(await gannet('status', ...onPrimary)).toMatchObject({
      code: 0,
      json: { state: 'protected', peer: { status: { state: 'protected' } } },
    });
    expect(await secondaryStatus()).toMatchObject({
      code: 0,
      json: { state: 'protected', mayFailOver: true, link: 'connected' },
    });

    for (let round = 0; round < 2; round++) {
      const before = Number((await secondaryStatus()).json['epoch']);
      const checkpoint = await gannet('checkpoint', ...onPrimary);
      expect(checkpoint.code).toBe(0);
      expect(Number(checkpoint.json['epoch'])).toBeGreaterThan(before);
      const after = Number((await secondaryStatus()).json['epoch']);
      expect(after).toBeGreaterThan(before);
    }

    for (const where of [onSecondary, onPrimary]) {
      const refused = await gannet('failover', ...where);
      expect(refused.code).toBe(4);
      expect(errorOf(refused)['code']).toBe('GANNET_REFUSED');
      expect(errorOf(refused)['remedy']).toContain('--force');
    }
    expect((await secondaryStatus()).json['state']).toBe('protected');

    await pair.primary.kill('SIGKILL');
    const knows = ({ json }: Outcome): boolean =>
      (json['peer'] as { status?: Json }).status?.['vm'] === 'lost';
    await until(secondaryStatus, knows);
    expect(await gannet('status', ...onPrimary)).toMatchObject({
      ...{ code: 3, json: { primaryVm: 'lost' } },
    });
    expect((await gannet('checkpoint', ...onPrimary)).code).toBe(1);
    const [first, second] = await Promise.all([
      gannet('failover', ...onSecondary),
      gannet('failover', ...onSecondary),
    ]);
    const again = await gannet('failover', ...onSecondary);
    expect(first.code).toBe(0);
    // It is one failover: who asks later hears of what is left.
    const [all, rest] = [first, second].map(stagesOf).sort((a, b) => b.length - a.length);
    expect(all).toEqual(['take over', 'journal', 'write back', 'local disks']);
    expect(all?.slice(all.length - (rest?.length ?? 0))).toEqual(rest);
    expect(Number(first.json['movedMs'])).toBeGreaterThanOrEqual(Number(first.json['durableMs']));
    expect(second.stdout).toBe(first.stdout);
    expect(again).toEqual({ ...first, stderr: '' });
    expect(await secondaryStatus()).toMatchObject({
      code: 3,
      json: { state: 'retired', mayFailOver: false },
    });
    const { digests, isClean } = await pair.compare();
    expect({ isClean, unequal: digests.filter(({ equal }) => !equal) }).toEqual({
      ...{ isClean: true, unequal: [] },
    });

    expect(await pair.primaryDaemon.kill('SIGTERM')).toBe(0);
    expect(await pair.secondaryDaemon.kill('SIGTERM')).toBe(0);
    expect(await socketsIn(pair.dir)).toEqual([]);
    const afterwards = await start(['secondary', ...onSecondary]).outcome();
    expect(afterwards.code).toBe(1);
    expect(afterwards.stderr).toContain('base0-0.raw is in use by qemu-system-x86');
    expect(await socketsIn(pair.dir)).toEqual([]);
  });
});

describe('protect that fails', () => {
  it('names the stage and what to do, and leaves the primary as it was', async () => {
    const pair = await makePair({});
    await pair.bootPrimary();
    await pair.startPrimaryDaemon();
    const before = await graphOf(pair.primary);
    const onPrimary = ['-c', pair.primaryDaemon.configPath];
    const expectFailure = async (message: RegExp, remedy: RegExp): Promise<void> => {
      const failed = await gannet('protect', ...onPrimary);
      expect(failed.code).toBe(1);
      expect(stagesOf(failed)[0]).toBe('check');
      expect(errorOf(failed)).toMatchObject({
        code: 'GANNET_STAGE_FAILED',
        message: expect.stringMatching(message),
        remedy: expect.stringMatching(remedy),
      });
      expect(await graphOf(pair.primary)).toEqual(before);
      await expectGuestWell(pair);
      expect((await gannet('status', ...onPrimary)).json['state']).toBe('unprotected');
    };
    const secondaryHost = async (
      sizeBytes: number,
      args: readonly string[],
    ): Promise<() => Promise<void>> => {
      const config = {
        ...pair.configOf('secondary'),
        qmp: `unix:${path.join(pair.dir, 'svm', 'qmp1.sock')}`,
        disks: [diskOf({ size: sizeBytes })],
      };
      const daemon = await startDaemon('secondary', pair.dir, config);
      const vm = await LabVm.start({
        name: 'svm',
        dir: pair.dir,
        args: ['-machine', 'pc,accel=tcg', '-m', '128', ...args],
      });
      undoAfter(() => vm.dispose());
      return async () => {
        await vm.dispose();
        expect(await daemon.kill()).toBe(0);
      };
    };

    await expectFailure(/^stage check: no secondary daemon answers on unix:/, /gannet secondary/);

    const notIncoming = await secondaryHost(64 * MIB, []);
    await expectFailure(
      /^stage check: .*does not wait for its primary: its status is running/,
      /-incoming/,
    );
    await notIncoming();

    await rm(path.join(dir, 'base0.raw'));
    const tooSmall = await secondaryHost(32 * MIB, ['-incoming', 'defer']);
    await expectFailure(/^stage check: .*bytes/, /Make the base/);
    await tooSmall();

    await pair.startSecondary();
    expect((await gannet('protect', ...onPrimary)).code).toBe(0);
    await pair.waitForCommits(1);
    await expectGuestWell(pair);
  });
});
