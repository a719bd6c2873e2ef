/** Commands that change the protection of a VM. */
import { call } from '../call-daemon.js';
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
