/**
 * The command: parses arguments and reports errors. Only what --help needs is imported here; each
 * command imports its own code when it runs, so that it starts fast.
 */
import { Command, CommanderError, Help } from 'commander';
import { describeError, EXIT, GannetError } from '@gannet/contract/errors';
import { VERSION } from '../version.js';
import { addClusterRole } from './commands/cluster.js';
import { addPrimary, addRecover, addSecondary } from './commands/daemons.js';
import {
  addCheckpoint,
  addDetach,
  addFailover,
  addMove,
  addProtect,
  addReprotect,
  addSeedRate,
  addSnapshot,
  addVerify,
} from './commands/protection.js';
import {
  addCheck,
  addEvents,
  addHost,
  addList,
  addPage,
  addStatus,
  addWatch,
} from './commands/reports.js';
import { addCompletion } from './commands/shell.js';
import { EPILOGUE } from './help.js';
import type { Cli, DaemonCode } from './options.js';

/** In the order of --help. */
const COMMANDS: readonly ((cli: Cli) => void)[] = [
  ...[
    addSecondary,
    addPrimary,
    addProtect,
    addSeedRate,
    addCheck,
    addStatus,
    addList,
    addHost,
    addWatch,
  ],
  ...[
    addEvents,
    addVerify,
    addSnapshot,
    addPage,
    addCheckpoint,
    addMove,
    addFailover,
    addDetach,
    addReprotect,
    addRecover,
    addClusterRole,
    addCompletion,
  ],
];

/** Runs the command. @returns the exit code (docs/reference/commands.md) */
export async function runCommand(argv: readonly string[], daemonCode: DaemonCode): Promise<number> {
  const json = argv.includes('--json');
  let exitCode: number = EXIT.done;
  const program = buildProgram({ daemonCode, json, endWith: (code) => (exitCode = code) });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(error, json);
    if (error.exitCode === 0) return EXIT.done;
    if (!json) return EXIT.usage;
    const message = error.message.replace(/^error: /, '');
    const remedy = 'Run the command with --help to see its options.';
    return reportError(new GannetError('GANNET_USAGE', message, remedy, 'usage'), json);
  }
}

/** How a program is built. */
export interface ProgramOptions extends Omit<Cli, 'program'> {
  /** Usage errors are reported as JSON, so the parser must not print them. */
  readonly json: boolean;
}

/** Builds the parser. Without `options`, it is only good for its help. */
export function buildProgram(options: Partial<ProgramOptions> = {}): Command {
  const { json = false, endWith = () => undefined, daemonCode = NO_DAEMON } = options;
  const program = new Command('gannet')
    .description(
      'Fault tolerance for QEMU virtual machines: when a host dies, the VM goes on at another one.',
    )
    .version(VERSION)
    .exitOverride()
    .configureOutput(json ? { writeErr: () => undefined } : {})
    // A flag that is not given is off: its help need not say so.
    .configureHelp({
      optionDescription: (option) =>
        option.defaultValue === false ? option.description : new Help().optionDescription(option),
    })
    .showHelpAfterError('(run it with --help to see its options)')
    .addHelpText('after', EPILOGUE);
  for (const add of COMMANDS) add({ program, daemonCode, endWith });
  return program;
}

const NO_DAEMON: DaemonCode = {
  serve: () => Promise.reject(new Error('this program has no daemon')),
  askPeer: () => Promise.reject(new Error('this program has no daemon')),
  refuseOutdated: () => Promise.reject(new Error('this program has no daemon')),
  clusterRole: () => Promise.reject(new Error('this program has no daemon')),
};

function reportError(error: unknown, json: boolean): number {
  const { code, message, remedy, exit } = describeError(error);
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
  else process.stderr.write(`gannet: ${message}\n${remedy === '' ? '' : `${remedy}\n`}`);
  return EXIT[exit];
}
