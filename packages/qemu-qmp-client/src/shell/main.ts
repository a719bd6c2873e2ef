import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { QmpClient } from '../client.js';
import { QmpError } from '../errors.js';
import type { TcpTarget, UnixTarget } from '../targets.js';
import { LineHistory, historyPath } from './history.js';
import { interact } from './interactive.js';
import { jsonLines, Session } from './session.js';

const HELP = `Usage: qemu-qmp-client [options] SOCKET

A shell for QEMU's machine protocol. SOCKET is the path of the monitor's unix socket, or host:port.

  -N, --no-interactive   no prompt: read lines from stdin, print a line of JSON for each message;
                         the default if stdin or stdout is not a terminal
      --timeout SECONDS  longest wait for the reply to a command (0, the default: no limit)
      --history FILE     where the prompt keeps its history
                         ($XDG_STATE_HOME/qemu-qmp-client/history)
  -h, --help             this text

Lines:
  query-status
  device_del id=nic0
  blockdev-add driver=qcow2 node-name=disk file.driver=file file.filename=/disk.qcow2
  human-monitor-command command-line="info block"
  {"exec-oob": "query-yank"}
  help block-export-add

A value is a number, true, false, null, JSON in brackets or braces, or else a string; quotes make
a string of a number: port="4444". A prompt also completes (Tab) and knows \`help\`.

Exit status: 0 done, 1 not connected, connection lost or a command failed, 2 usage.
`;

const EXIT = { done: 0, failed: 1, usage: 2 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

interface Options {
  readonly target: UnixTarget | TcpTarget;
  readonly interactive: boolean;
  readonly timeoutMs: number;
  readonly history: string;
}

/** The command `qemu-qmp-client`. */
export async function runShell(argv: readonly string[]): Promise<ExitCode> {
  let options: Options | 'help';
  try {
    options = parse(argv);
  } catch (error) {
    complain(`${(error as Error).message}; see qemu-qmp-client --help`);
    return EXIT.usage;
  }
  if (options === 'help') {
    process.stdout.write(HELP);
    return EXIT.done;
  }
  try {
    return await shell(options);
  } catch (error) {
    if (!(error instanceof QmpError) && !isSystemError(error)) throw error;
    complain(error.message);
    return EXIT.failed;
  }
}

async function shell({ target, interactive, timeoutMs, history }: Options): Promise<ExitCode> {
  const { stdin: input, stdout: output } = process;
  const past = new LineHistory(history);
  const known = interactive ? await past.load() : [];
  const client = await QmpClient.connect({ target, commandTimeoutMs: timeoutMs });
  const session = await (interactive
    ? interact(client, past, known, { input, output })
    : pipe(client));
  // What QEMU sent before it hung up on `quit` may still be on its way.
  const lost = client.state === 'dead' ? await client.closed : undefined;
  await client.close();
  if (lost !== undefined && !session.askedToQuit) {
    complain(lost.message);
    return EXIT.failed;
  }
  return session.failures > 0 && !interactive ? EXIT.failed : EXIT.done;
}

/** Until stdin ends, or QEMU hangs up. */
async function pipe(client: QmpClient): Promise<Session> {
  const session = new Session(client, jsonLines(process.stdout, process.stderr));
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  const forget = client.onEnd(() => lines.close());
  for await (const line of lines) {
    await session.run(line);
    if (client.state !== 'open') break;
  }
  forget();
  return session;
}

function parse(argv: readonly string[]): Options | 'help' {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      'no-interactive': { type: 'boolean', short: 'N', default: false },
      timeout: { type: 'string', default: '0' },
      history: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const [address, extra] = positionals;
  if (address === undefined || address === '') throw new Error('SOCKET is missing');
  if (extra !== undefined) throw new Error(`one SOCKET, not also ${extra}`);
  const timeoutMs = Number(values.timeout) * 1000;
  if (values.timeout === '' || !(timeoutMs >= 0 && Number.isInteger(timeoutMs))) {
    throw new Error(`--timeout ${values.timeout} is no number of seconds`);
  }
  return {
    target: targetOf(address),
    interactive: process.stdin.isTTY && process.stdout.isTTY && !values['no-interactive'],
    timeoutMs,
    history: values.history ?? historyPath(process.env),
  };
}

/** host:port, or else the path of a unix socket; `./a:1` is a path. */
function targetOf(address: string): UnixTarget | TcpTarget {
  const tcp = /^\[?([^/]*?)\]?:(\d{1,5})$/.exec(address);
  if (tcp === null) return { kind: 'unix', path: address };
  return { kind: 'tcp', host: tcp[1] || 'localhost', port: Number(tcp[2]) };
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

function complain(message: string): void {
  process.stderr.write(`qemu-qmp-client: ${message}\n`);
}
