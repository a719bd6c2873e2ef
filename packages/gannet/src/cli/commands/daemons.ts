/** Commands that run where the VM's files are: the two daemons, and the recovery of bases. */
import { print } from '../call-daemon.js';
import type { RecoveredBase } from '../recover-report.js';
import { about, type Cli, type DaemonCode, logLevel, type Options, vmCommand } from '../options.js';
import { showProgress } from '../progress.js';

export function addSecondary(cli: Cli): void {
  const description = 'Run the daemon that holds the disks of the secondary VM';
  vmCommand(cli, 'secondary', description)
    .addOption(logLevel())
    .option('--overwrite', 'allow the copy to overwrite a base that holds data', false)
    .action(about((options: Options) => cli.daemonCode.serve(options, 'secondary')));
}

export function addPrimary(cli: Cli): void {
  vmCommand(cli, 'primary', 'Run the daemon on the host of the VM to be protected')
    .addOption(logLevel())
    .action(about((options: Options) => cli.daemonCode.serve(options, 'primary')));
}

export function addRecover(cli: Cli): void {
  const description = 'After a failover and a crash: replay the journal into the base images';
  const what = 'take the last commit of a VM whose primary is gone for good';
  vmCommand(cli, 'recover', description)
    .option('--last-commit', what, false)
    .option('--force', 'even if the primary is known to have the newer copy', false)
    .action(
      about(async (options: Options) => {
        const recovered = await recover(options, cli.daemonCode);
        const { showRecovered } = await import('../recover-report.js');
        if (options.json) print(options, { recovered });
        else process.stdout.write(showRecovered(recovered));
      }),
    );
}

async function recover(options: Options, daemonCode: DaemonCode): Promise<RecoveredBase[]> {
  const { asSecondary, basesOf, findConfig } = await import('@gannet/contract');
  const { recoverBases } = await import('@gannet/replicator');
  const config = asSecondary(await findConfig(options));
  if (options.force !== true) await daemonCode.refuseOutdated(config);
  const bases = basesOf(config);
  const show = showProgress(options.json);
  const seen = { journal: false };
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    seen.journal = true;
    show({ stage: 'replay', doneBytes, totalBytes });
  };
  const acceptLastCommit = options.lastCommit ?? false;
  const recovered = await recoverBases(bases, { lock: true, onProgress, acceptLastCommit });
  if (seen.journal) show({ stage: 'done' });
  return recovered.map((record, at) => ({ ...record, base: bases[at]?.base ?? '' }));
}
