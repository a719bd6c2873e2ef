/** Commands that change the protection of a VM. */
import type { MoveReport, SnapshotReport, VerifyReport } from '@gannet/contract';
import { EXIT } from '@gannet/contract/errors';
import { formatMs } from '@gannet/contract/format';
import { Option } from 'commander';
import { call, daemonOf } from '../call-daemon.js';
import { about, type Cli, daemonCommand, type Options, rate, seedRate } from '../options.js';
import { showProgress } from '../progress.js';
import { showFailover, showStatus } from '../watch/show-status.js';

export function addProtect(cli: Cli): void {
  daemonCommand(cli, 'protect', 'Copy the disks of the running VM to the secondary and start COLO')
    .addOption(seedRate())
    .action(about((options: Options) => protect(options, 'protect')));
}

export function addSeedRate(cli: Cli): void {
  const what = 'bytes a second, per disk, or with KiB, MiB, GiB; 0 for no limit';
  daemonCommand(cli, 'seed-rate', 'Change the speed limit of the copy that is in progress')
    .requiredOption('--rate <rate>', what, rate)
    .action(
      about(async (options: Options) => {
        await call(options, 'seed-rate', { bytesPerSec: options.rate ?? 0 });
      }),
    );
}

export function addCheckpoint(cli: Cli): void {
  daemonCommand(cli, 'checkpoint', 'Make a checkpoint now, and wait until it is committed').action(
    about(async (options: Options) => {
      await call(options, 'checkpoint', {}, { show: showStatus });
    }),
  );
}

export function addVerify(cli: Cli): void {
  const description = "Compare the replica with the primary's disks while the VM runs";
  daemonCommand(cli, 'verify', description)
    .option('--repair', 'rewrite on the replica what is wrong', false)
    .option('--stop', 'end the comparison that is in progress', false)
    .addOption(
      new Option(
        '--rate <rate>',
        'speed limit: bytes a second, or with KiB, MiB, GiB; 0 for none',
      ).argParser(rate),
    )
    .action(
      about(async (options: Options) => {
        const progress = showProgress(options.json);
        const { vm } = await daemonOf(options);
        const { showVerify } = await import('../verify-report.js');
        const show = (result: VerifyReport): string => showVerify(vm, result);
        const { repair, stop, rate: bytesPerSec } = options;
        const report = await call(
          options,
          'verify',
          { repair, stop, bytesPerSec },
          { progress, show },
        );
        const isWell = report.isWhole && report.wrongBytes === report.repairedBytes;
        if (!isWell) cli.endWith(EXIT.degraded);
      }),
    );
}

export function addSnapshot(cli: Cli): void {
  const description = 'On the secondary host: hold a snapshot of the last checkpoint for a backup';
  daemonCommand(cli, 'snapshot', description)
    .option('--drop', 'end the snapshot that there is', false)
    .action(
      about(async (options: Options) => {
        const show = ({ snapshot, disks }: SnapshotReport): string => {
          if (!snapshot) return 'The snapshot is dropped.\n';
          const head = `Snapshot of epoch ${snapshot.epoch}; until it is dropped, read it from:`;
          return `${head}\n${disks.map(({ disk, uri }) => `${disk}  ${uri}\n`).join('')}`;
        };
        await call(options, 'snapshot', { drop: options.drop }, { show });
      }),
    );
}

export function addMove(cli: Cli): void {
  const description = 'Move the VM to the secondary host without loss (engine vsmr)';
  daemonCommand(cli, 'move', description).action(
    about(async (options: Options) => {
      const show = ({ movedTo, stillMs }: MoveReport): string => {
        if (stillMs === null) return `The VM runs on ${movedTo}.\n`;
        return `The VM runs on ${movedTo}. No guest ran for ${formatMs(stillMs)} at most.\n`;
      };
      await call(options, 'move', {}, { progress: showProgress(options.json), show });
    }),
  );
}

export function addFailover(cli: Cli): void {
  const description =
    'On the secondary host: take over. On the primary host: drop the secondary and run on alone';
  daemonCommand(cli, 'failover', description)
    .option('--force', 'even without proof that the other VM has stopped', false)
    .option('--overrule-peer', 'with --force: even if the other side is well; it is stopped', false)
    .action(
      about(async (options: Options) => {
        const { force = false, overrulePeer = false, json } = options;
        const shown = { progress: showProgress(json), show: showFailover };
        await call(options, 'failover', { force, overrulePeer }, shown);
      }),
    );
}

export function addDetach(cli: Cli): void {
  daemonCommand(cli, 'detach', 'End the protection; the guest continues without interruption')
    .option('--force', 'even if the secondary cannot be notified', false)
    .action(
      about(async (options: Options) => {
        await call(options, 'detach', { force: options.force === true }, { show: showStatus });
      }),
    );
}

export function addReprotect(cli: Cli): void {
  daemonCommand(cli, 'reprotect', 'After a failover: protect the survivor with a new secondary')
    .addOption(seedRate())
    .action(about((options: Options) => protect(options, 'reprotect')));
}

async function protect(options: Options, method: 'protect' | 'reprotect'): Promise<void> {
  const { seedRate: bytesPerSec, json } = options;
  await call(options, method, { bytesPerSec }, { progress: showProgress(json), show: showStatus });
}
