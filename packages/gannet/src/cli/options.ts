/** Options that several commands have, and the parsers of their values. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ConfigChoice, PrimaryConfig, SecondaryConfig } from '@gannet/contract';
import { parseBytes } from '@gannet/contract/bytes';
import { SILENCE_MS } from '@gannet/contract/errors';
import { examplesOf } from './help.js';

const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** What commander has parsed. Each command has some of them. */
export interface Options extends ConfigChoice {
  readonly json: boolean;
  readonly force?: boolean;
  readonly overrulePeer?: boolean;
  /** Seconds without a sign of life from the daemon. */
  readonly timeout?: number;
  readonly seedRate?: number;
  readonly rate?: number;
  /** Of `snapshot`. */
  readonly drop?: boolean;
  /** Of `verify`. */
  readonly repair?: boolean;
  readonly stop?: boolean;
  readonly follow?: boolean;
  readonly overwrite?: boolean;
  /** Of `recover`. */
  readonly lastCommit?: boolean;
  readonly logLevel?: string;
}

/** What a cluster knows of a VM: names of nodes, '' for none. */
export interface ClusterQuestion extends Options {
  readonly node: string;
  readonly current: string;
  readonly claim: string;
  readonly initial: string;
}

/** What the commands use of the daemon's code. It is loaded when it is called. */
export interface DaemonCode {
  readonly serve: (options: Options, role: 'primary' | 'secondary') => Promise<void>;
  readonly askPeer: (config: PrimaryConfig) => Promise<unknown>;
  /** Rejects if a newer copy of the VM is known than that of this host. */
  readonly refuseOutdated: (config: SecondaryConfig) => Promise<void>;
  readonly clusterRole: (
    config: SecondaryConfig,
    question: ClusterQuestion,
  ) => Promise<Record<'role' | 'worth' | 'why', string>>;
}

/** What a command is added to. */
export interface Cli {
  readonly program: Command;
  readonly daemonCode: DaemonCode;
  /** Sets the exit code of a command that did its work and has something to report. */
  readonly endWith: (exitCode: number) => void;
}

/** Adds a command about one VM. */
export function vmCommand({ program }: Cli, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument('[vm]', 'name of the VM; its configuration is /etc/gannet/VM.yaml')
    .option('-c, --config <file>', 'configuration file of the VM (YAML), instead of its name')
    .option('--json', name === 'events' ? 'print JSON lines' : 'print one JSON document', false)
    .addHelpText('after', examplesOf(name));
}

/** Adds a command that calls the daemon of a VM. */
export function daemonCommand(cli: Cli, name: string, description: string): Command {
  const what = 'give up after this long without a sign of life from the daemon';
  const timeout = new Option('--timeout <seconds>', what)
    .argParser(positive)
    .default(SILENCE_MS / 1000);
  return vmCommand(cli, name, description).addOption(timeout);
}

/** Turns the arguments that commander passes into one object. */
export function about<T extends ConfigChoice>(
  action: (options: T) => Promise<void>,
): (vm: string | undefined, options: T) => Promise<void> {
  return (vm, options) => action({ ...options, vm });
}

/** `--log-level` */
export function logLevel(): Option {
  return new Option('--log-level <level>', 'lowest level that is logged')
    .choices(LOG_LEVELS)
    .default('info');
}

/** `--seed-rate` */
export function seedRate(): Option {
  const what = 'speed limit of the copy, per disk: bytes a second, or with KiB, MiB, GiB';
  return new Option('--seed-rate <rate>', `${what}; 0 for no limit`).argParser(rate);
}

/** Bytes a second, 0 for no limit. */
export function rate(text: string): number {
  const bytes = text === '0' ? 0 : parseBytes(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError('write bytes a second, such as 50MiB, or 0 for no limit');
}

/** Collects the values of an option that may be repeated. */
export function gather(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** A whole number above 0. */
export function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('write a whole number above 0');
}
