/**
 * The command: its arguments, and what each of them calls. Only what --help needs is imported here; a command imports
 * its own work when it is called, so that it starts in the time that it takes.
 */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type {
  ConfigChoice,
  MethodName,
  MethodParams,
  Reporter,
  MethodResult,
} from '@gannet/contract';
import { parseBytes } from '@gannet/contract/bytes';
import { describeError, EXIT, GannetError, SILENCE_MS } from '@gannet/contract/errors';
import type { CheckOptions } from './check-command.js';
import { examplesOf } from './help.js';
import { LOG_LEVELS } from '../log-levels.js';
import type { ServeOptions } from '../daemon/serve.js';
import { completionFor, type Shell, SHELLS } from './completion.js';
import { tableOf } from './option-table.js';
import { formatTable } from './terminal.js';
import { VERSION } from '../version.js';

interface Options extends ServeOptions {
  readonly json: boolean;
  readonly force?: boolean;
  /** Seconds without a sign of life of the daemon. */
  readonly timeout?: number;
  readonly seedRate?: number;
  readonly rate?: number;
  readonly follow?: boolean;
}

/** Runs the command. @returns the exit code (docs/reference/commands.md) */
export async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  let exitCode: number = EXIT.done;
  const program = buildProgram((code) => (exitCode = code), json);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(error, json);
    if (error.exitCode === 0) return EXIT.done;
    const message = error.message.replace(/^error: /, '');
    const usage = new GannetError('GANNET_USAGE', message, 'Say --help for the options.', 'usage');
    return json ? reportError(usage, json) : EXIT.usage;
  }
}

/** @param endWith told the exit code of a command that did its work and has something to say */
export function buildProgram(
  endWith: (exitCode: number) => void = () => undefined,
  json = false,
): Command {
  const program = new Command('gannet')
    .description('Fault tolerance for QEMU virtual machines without the storage tax.')
    .version(VERSION)
    .exitOverride()
    .configureOutput(json ? { writeErr: () => undefined } : {})
    .showHelpAfterError('(say --help for the options)')
    .addHelpText(
      'after',
      `
Examples:
  gannet secondary web      on the secondary host; then start its QEMU
  gannet primary web        on the primary host, beside the running VM
  gannet check web          what is in the way
  gannet protect web        copies the disks, starts COLO
  gannet status web --json
  gannet watch web          the same, live
  gannet failover web       on the secondary host, when the primary is gone
  gannet demo               shows it all on this machine

Files of the VM web, unless its configuration or the environment says otherwise:
  /etc/gannet/web.yaml          its configuration   $GANNET_CONFIG_DIR
  /run/gannet/web.*             sockets             $GANNET_RUN_DIR
  /var/lib/gannet/web.journal   failover journal    $GANNET_STATE_DIR

Exit codes: ${exitCodes()}.`,
    );
  const command = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .argument('[vm]', 'name of the VM; its configuration is /etc/gannet/VM.yaml')
      .option('-c, --config <file>', 'configuration of the VM (YAML), wherever it is')
      .option('--json', name === 'events' ? 'print JSON lines' : 'print one JSON document', false)
      .addHelpText('after', examplesOf(name));
  const caller = (name: string, description: string): Command =>
    command(name, description).addOption(timeout());

  command('secondary', 'Hold the disks of a secondary VM and commit them at each checkpoint')
    .addOption(logLevel())
    .option('--overwrite', 'seed over a base that holds data', false)
    .action(about((options: Options) => runDaemon(options, 'secondary')));
  command('primary', 'Stand beside a running VM to protect it')
    .addOption(logLevel())
    .action(about((options: Options) => runDaemon(options, 'primary')));
  caller('protect', 'Copy the disks of the running VM and start COLO')
    .addOption(seedRate())
    .action(about((options: Options) => protect(options, 'protect')));
  caller('seed-rate', 'Change the speed limit of the copy that is under way, for each disk')
    .requiredOption('--rate <rate>', 'bytes a second, or with KiB, MiB, GiB; 0 for no limit', rate)
    .action(
      about(async (options: Options) => {
        await call(options, 'seed-rate', { bytesPerSec: options.rate ?? 0 });
      }),
    );
  command('check', 'Say what would keep the VM from being protected, why it matters and what to do')
    .option('--print-secondary', "print the command line of the secondary's QEMU instead")
    .option('--incoming <uri>', 'where that QEMU is to wait, if not at primary.migrate')
    .option('--backend <id=backend>', 'what a port or card of it is connected to', gather)
    .action(
      about(async (options: CheckOptions) => {
        const { runCheck } = await import('./check-command.js');
        endWith(await runCheck(options));
      }),
    );
  caller('status', 'Show how the protection is doing').action(
    about(async (options: Options) => {
      const { showStatus } = await import('./watch/show-status.js');
      const { isDegraded } = await import('@gannet/contract');
      const show = options.json ? undefined : showStatus;
      if (isDegraded(await call(options, 'status', {}, { show }))) endWith(EXIT.degraded);
    }),
  );
  caller('watch', 'Show it live, until Ctrl-C').action(
    about(async (options: Options) => {
      const { watch } = await import('./watch/watch.js');
      await untilAsked(async (signal) => {
        const screen = process.stdout;
        await watch({ ...(await daemonOf(options)), screen, env: process.env, signal });
      });
    }),
  );
  caller('events', 'Print what happened, oldest first, with what to do about it')
    .option('--follow', 'and what happens next, until Ctrl-C', false)
    .action(
      about(async (options: Options) => {
        const { printEvents } = await import('./watch/print-events.js');
        await untilAsked(async (signal) => {
          const write = (text: string): unknown => process.stdout.write(text);
          const { json, follow = false } = options;
          await printEvents({ ...(await daemonOf(options)), json, follow, signal, write });
        });
      }),
    );
  caller('page', 'Print the address of the web page, with its token').action(
    about(async (options: Options) => {
      const show = ({ url }: MethodResult<'page'>): string => `${url}\n`;
      await call(options, 'page', {}, { show });
    }),
  );
  caller('checkpoint', 'Make a checkpoint now, and wait for it').action(
    about(async (options: Options) => {
      await call(options, 'checkpoint', {});
    }),
  );
  caller('failover', 'On the secondary: take over. On the primary: give protection up and run on')
    .option('--force', 'without proof that the other side is gone', false)
    .action(
      about(async (options: Options) => {
        const progress = await progressOf(options);
        await call(options, 'failover', { force: options.force === true }, { progress });
      }),
    );
  caller('detach', 'Take the protection away; the guest runs on undisturbed')
    .option('--force', 'though the secondary can not be told', false)
    .action(
      about(async (options: Options) => {
        await call(options, 'detach', { force: options.force === true });
      }),
    );
  caller('reprotect', 'The survivor becomes the primary of a new secondary')
    .addOption(seedRate())
    .action(about((options: Options) => protect(options, 'reprotect')));
  command('recover', 'After a crash behind a failover: make the base images whole again').action(
    about(async (options: Options) => {
      print(options, { recovered: await recover(options) });
    }),
  );
  program
    .command('completion')
    .description('Print what makes a shell complete this command at Tab')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', examplesOf('completion'))
    .action((shell: Shell) => {
      process.stdout.write(completionFor(shell, tableOf(program)));
    });
  return program;
}

/** Such as `0 done, 1 failed`. */
function exitCodes(): string {
  return Object.entries(EXIT)
    .map(([name, code]) => `${code} ${name}`)
    .join(', ');
}

/** An action of a command that names its VM, or the configuration of it. */
function about<T extends ConfigChoice>(
  action: (options: T) => Promise<void>,
): (vm: string | undefined, options: T) => Promise<void> {
  return (vm, options) => action({ ...options, vm });
}

function timeout(): Option {
  return new Option('--timeout <seconds>', 'give up when the daemon gives no sign of life so long')
    .argParser(positive)
    .default(SILENCE_MS / 1000);
}

function logLevel(): Option {
  return new Option('--log-level <level>', 'the least that is logged')
    .choices(LOG_LEVELS)
    .default('info');
}

async function runDaemon(options: Options, role: 'primary' | 'secondary'): Promise<void> {
  const { serve } = await import('../daemon/serve.js');
  await serve(options, role);
}

async function recover(options: Options): Promise<unknown> {
  const { asSecondary, basesOf } = await import('@gannet/contract');
  const { findConfig } = await import('@gannet/contract');
  const { recoverBases } = await import('@gannet/replicator');
  const bases = basesOf(asSecondary(await findConfig(options)));
  const show = await progressOf(options);
  const seen = { journal: false };
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    seen.journal = true;
    show({ stage: 'replay', doneBytes, totalBytes });
  };
  const recovered = await recoverBases(bases, { lock: true, onProgress });
  if (seen.journal) show({ stage: 'done' });
  return recovered;
}

/** Where the daemon of that VM is, and how long it may be silent. */
async function daemonOf(
  options: Options,
): Promise<{ vm: string; control: string; silenceMs: number }> {
  const { findConfig } = await import('@gannet/contract');
  const { vm, control } = await findConfig(options);
  return { vm, control, silenceMs: 1000 * (options.timeout ?? 0) || SILENCE_MS };
}

/** Runs until Ctrl-C, or until nobody reads any more. */
async function untilAsked(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const end = (): void => abort.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  process.stdout.once('error', end);
  await work(abort.signal);
}

interface Shown<M extends MethodName> {
  readonly progress?: Reporter<M>;
  /** For people; with --json the result is printed as it is. */
  readonly show?: ((result: MethodResult<M>) => string) | undefined;
}

async function call<M extends MethodName>(
  options: Options,
  method: M,
  params: MethodParams<M>,
  { progress, show }: Shown<M> = {},
): Promise<MethodResult<M>> {
  const { ControlClient } = await import('@gannet/contract');
  const { control, silenceMs } = await daemonOf(options);
  const client = await ControlClient.connect(control, silenceMs);
  try {
    const result = await client.call(method, params, progress);
    if (show && !options.json) process.stdout.write(show(result));
    else print(options, result);
    return result;
  } finally {
    client.close();
  }
}

function print({ json }: Pick<Options, 'json'>, result: Record<string, unknown>): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const rows = Object.entries(result).map(([key, value]): [string, string] => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  process.stdout.write(formatTable(rows));
}

function reportError(error: unknown, json: boolean): number {
  const { code, message, remedy, exit } = describeError(error);
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
  else process.stderr.write(`gannet: ${message}\n${remedy === '' ? '' : `${remedy}\n`}`);
  return EXIT[exit];
}

async function protect(options: Options, method: 'protect' | 'reprotect'): Promise<void> {
  const { seedRate: bytesPerSec } = options;
  await call(options, method, { bytesPerSec }, { progress: await progressOf(options) });
}

async function progressOf({ json }: Options): Promise<(report: unknown) => void> {
  const { showProgress } = await import('./progress.js');
  return showProgress(json);
}

function seedRate(): Option {
  const what = 'speed limit of copying, for each disk: bytes a second, or with KiB, MiB, GiB';
  return new Option('--seed-rate <rate>', `${what}; 0 for none`).argParser(rate);
}

function rate(text: string): number {
  const bytes = text === '0' ? 0 : parseBytes(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError('bytes a second are wanted, such as 50MiB, or 0 for no limit');
}

function gather(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('a whole number above 0 is wanted');
}
