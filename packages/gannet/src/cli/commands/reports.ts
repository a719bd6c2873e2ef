/** Commands that report and change nothing. */
import type { MethodResult } from '@gannet/contract';
import { EXIT } from '@gannet/contract/errors';
import { EVENT_LEVELS, type EventLevel } from '@gannet/contract/events';
import { isWell } from '@gannet/contract/states';
import { InvalidArgumentError, Option } from 'commander';
import { isEventKind, parseMoment } from '../watch/event-filter.js';
import { showStatus } from '../watch/show-status.js';
import { call, daemonOf, untilInterrupted } from '../call-daemon.js';
import type { CheckOptions } from '../check-report.js';
import { examplesOf } from '../help.js';
import type { HostOptions } from '../../host/serve-host.js';
import {
  about,
  type Cli,
  daemonCommand,
  gather,
  type Options,
  positive,
  vmCommand,
} from '../options.js';

export function addCheck(cli: Cli): void {
  const { daemonCode, endWith } = cli;
  vmCommand(cli, 'check', 'Find what would prevent protection: why it matters and what to do')
    .option('--print-secondary', "print a command line for the secondary's QEMU instead")
    .option('--incoming <uri>', 'where that QEMU waits, if not at primary.migrate')
    .option('--backend <id=backend>', 'back end of a card or port of that QEMU; repeatable', gather)
    .action(
      about(async (options: CheckOptions) => {
        const { runCheck } = await import('../check-report.js');
        endWith(await runCheck(options, daemonCode.askPeer));
      }),
    );
}

export function addStatus(cli: Cli): void {
  daemonCommand(cli, 'status', 'Show the state of the VM and of its protection').action(
    about(async (options: Options) => {
      const show = options.json ? undefined : showStatus;
      if (!isWell(await call(options, 'status', {}, { show }))) cli.endWith(EXIT.degraded);
    }),
  );
}

/** A row is worth waiting for, but not for long: the other VMs are in the same list. */
const LIST_SILENCE_S = 2;

function rowTimeout(): Option {
  return new Option('--timeout <seconds>', 'how long a daemon may be silent: its row says so then')
    .argParser(positive)
    .default(LIST_SILENCE_S);
}

export function addList(cli: Cli): void {
  cli.program
    .command('list')
    .description('List all VMs of this host, and what is the matter with those that are not well')
    .option('--json', 'print one JSON document; with --watch, one for each change', false)
    .option('--watch', 'show them live, until Ctrl-C', false)
    .addOption(rowTimeout())
    .addHelpText('after', examplesOf('list'))
    .action(async ({ json, watch, timeout }: ListChoice) => {
      const { showList, watchList } = await import('../watch/show-list.js');
      const { stdout: screen, env } = process;
      const options = { json, silenceMs: 1000 * timeout, screen, env };
      if (watch) await untilInterrupted((signal) => watchList(options, signal));
      else if (!(await showList(options))) cli.endWith(EXIT.degraded);
    });
}

interface ListChoice {
  readonly json: boolean;
  readonly watch: boolean;
  readonly timeout: number;
}

export function addHost(cli: Cli): void {
  cli.program
    .command('host')
    .description('Serve a page and one metrics endpoint for all VMs of this host, until Ctrl-C')
    .addOption(
      new Option('--listen <host:port>', 'address of the page, /vms.json and /metrics')
        .argParser(inetAddress)
        .default({ type: 'inet', host: '127.0.0.1', port: 9471 }, '127.0.0.1:9471'),
    )
    .option('--token-file <file>', 'token that must be presented; created if it is missing')
    .option('--tls-cert <file>', 'PEM file of a certificate: serves HTTPS')
    .option('--tls-key <file>', 'PEM file of its private key')
    .option('--allow-name <name>', 'host name in the URL, besides its own; repeatable', gather)
    .option('--peer <url>', 'page of another host with the same token; repeatable', gatherUrl)
    .addOption(rowTimeout())
    .addHelpText('after', examplesOf('host'))
    .action(async (options: HostOptions) => {
      // The token, and the folders that it may need, are for our own user only.
      process.umask(0o077);
      const { serveHost } = await import('../../host/serve-host.js');
      const say = (line: string): void => void process.stderr.write(`${line}\n`);
      await untilInterrupted((signal) => serveHost(options, signal, say));
    });
}

function inetAddress(text: string): HostOptions['listen'] {
  const [, host = '', port = ''] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host !== '' && Number(port) <= 65535) return { type: 'inet', host, port: Number(port) };
  throw new InvalidArgumentError('write HOST:PORT, such as 127.0.0.1:9471');
}

function gatherUrl(text: string, before: readonly string[] | undefined): readonly string[] {
  const isUrl = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (isUrl) return gather(text.endsWith('/') ? text : `${text}/`, before);
  throw new InvalidArgumentError('write a URL, such as https://host-b:9471/');
}

export function addWatch(cli: Cli): void {
  daemonCommand(cli, 'watch', 'Show the state, checkpoints and events live, until Ctrl-C').action(
    about(async (options: Options) => {
      const { watch } = await import('../watch/watch.js');
      await untilInterrupted(async (signal) => {
        const screen = process.stdout;
        await watch({ ...(await daemonOf(options)), screen, env: process.env, signal });
      });
    }),
  );
}

export function addEvents(cli: Cli): void {
  daemonCommand(cli, 'events', 'Print past events, oldest first, with what to do about them')
    .option('--follow', 'then print new events as they happen, until Ctrl-C', false)
    .addOption(moment('--since <when>', 'only events since then: 10m, 2h, or a date and time'))
    .addOption(moment('--until <when>', 'only events until then'))
    .option('--kind <kind>', 'only events of this kind; repeatable', eventKind)
    .addOption(
      new Option('--level <level>', 'only events of this level or a higher one').choices(
        EVENT_LEVELS,
      ),
    )
    .option('--checkpoints', 'print each checkpoint, not only how many there were', false)
    .action(
      about(async (options: EventOptions) => {
        const { printEvents } = await import('../watch/print-events.js');
        await untilInterrupted(async (signal) => {
          const write = (text: string): unknown => process.stdout.write(text);
          const { json, follow = false, checkpoints: hasCheckpoints, level, kind: kinds } = options;
          const filter = { sinceMs: options.since, untilMs: options.until, kinds, level };
          const { isTTY, columns } = process.stdout;
          const what = { json, follow, filter, hasCheckpoints, ...(isTTY && { columns }) };
          await printEvents({ ...(await daemonOf(options)), ...what, signal, write });
        });
      }),
    );
}

interface EventOptions extends Options {
  readonly since?: number;
  readonly until?: number;
  readonly kind?: readonly string[];
  readonly level?: EventLevel;
  readonly checkpoints: boolean;
}

function moment(flags: string, what: string): Option {
  return new Option(flags, what).argParser((text) => {
    const ms = parseMoment(text, Date.now());
    if (ms !== undefined) return ms;
    throw new InvalidArgumentError('write 90s, 10m, 2h, 3d, or 2026-01-31 or 2026-01-31T07:30');
  });
}

function eventKind(text: string, before: readonly string[] | undefined): readonly string[] {
  if (isEventKind(text)) return gather(text, before);
  throw new InvalidArgumentError('docs/reference/events.md lists the kinds of events');
}

export function addPage(cli: Cli): void {
  daemonCommand(cli, 'page', 'Print the URL of the web page, with its token').action(
    about(async (options: Options) => {
      const show = ({ url }: MethodResult<'page'>): string => `${url}\n`;
      await call(options, 'page', {}, { show });
    }),
  );
}
