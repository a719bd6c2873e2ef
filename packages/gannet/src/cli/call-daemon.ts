/** Calls of a daemon's control socket, and what is printed of them. */
import { userInfo } from 'node:os';
import type { MethodName, MethodParams, MethodResult, Reporter } from '@gannet/contract';
import { SILENCE_MS } from '@gannet/contract/errors';
import { findDaemon } from '@gannet/contract/find';
import type { Options } from './options.js';
import { formatTable } from './terminal.js';

/** What a call shows besides its result. */
export interface Shown<M extends MethodName> {
  readonly progress?: Reporter<M>;
  /** Formats the result for people; with --json it is printed as JSON. */
  readonly show?: ((result: MethodResult<M>) => string | Promise<string>) | undefined;
}

/** Calls a method of the VM's daemon and prints the result. */
export async function call<M extends MethodName>(
  options: Options,
  method: M,
  params: MethodParams<M>,
  { progress, show }: Shown<M> = {},
): Promise<MethodResult<M>> {
  const { ControlClient } = await import('@gannet/contract/client');
  const { control, silenceMs } = await daemonOf(options);
  const client = await ControlClient.connect(control, silenceMs, actor());
  try {
    const result = await client.call(method, params, progress);
    if (show && !options.json) process.stdout.write(await show(result));
    else print(options, result);
    return result;
  } finally {
    client.close();
  }
}

/** Who asks, for the daemon's log: behind sudo, the person. */
function actor(): string {
  const { SUDO_USER: behindSudo } = process.env;
  return `${behindSudo ?? userName()}, with the gannet command`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.()}`;
  }
}

/** The VM's name, the control socket of its daemon, and how long that may be silent. */
export async function daemonOf(
  options: Options,
): Promise<{ vm: string; control: string; silenceMs: number }> {
  const { vm, control } = await findDaemon(options);
  return { vm, control, silenceMs: 1000 * (options.timeout ?? 0) || SILENCE_MS };
}

/** Prints a result: as JSON, or as a table. */
export function print({ json }: Pick<Options, 'json'>, result: Record<string, unknown>): void {
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

/** Runs until Ctrl-C, SIGTERM, or until the reader of stdout has gone. */
export async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abort = new AbortController();
  const end = (): void => abort.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  process.stdout.once('error', end);
  await work(abort.signal);
}
