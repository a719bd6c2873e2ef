import { clearLine, createInterface, cursorTo, type Interface } from 'node:readline';
import type { QmpClient } from '../client.js';
import { complete } from './completion.js';
import type { LineHistory } from './history.js';
import { SchemaIndex } from './schema-index.js';
import { readable, Session } from './session.js';

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** A prompt, until Ctrl-D or until QEMU hangs up; `known` is the history so far, newest first. */
export async function interact(
  client: QmpClient,
  history: LineHistory,
  known: readonly string[],
  { input, output }: Terminal,
): Promise<Session> {
  let schema = new SchemaIndex([]);
  const rl = createInterface({
    input,
    output,
    prompt: '(QEMU) ',
    history: [...known],
    historySize: 1000,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(schema, line),
  });
  const prompt = new Prompt(rl, output);
  const session = new Session(
    client,
    readable((text) => prompt.print(text)),
  );
  // Only now: events come from here on.
  schema = new SchemaIndex(await client.execute('query-qmp-schema'));
  const { major, minor, micro } = client.version;
  prompt.print(`QEMU ${major}.${minor}.${micro}; Tab completes, help COMMAND tells, Ctrl-D leaves`);
  const forget = client.onEnd(() => rl.close());
  rl.on('SIGINT', () => prompt.interrupt());
  let keeping = true;
  for await (const line of prompt.lines()) {
    const asked = /^\s*help(?:\s+(\S+))?\s*$/.exec(line);
    await history.add(line).catch((error: unknown) => {
      if (keeping) prompt.print(`history is not kept: ${(error as Error).message}`);
      keeping = false;
    });
    if (asked === null) await prompt.busy((signal) => session.run(line, signal));
    else prompt.print(helpOn(schema, asked[1]));
  }
  forget();
  return session;
}

/** The line being typed, and what is printed above it. */
class Prompt {
  #running: AbortController | undefined;
  #started = false;
  #closed = false;

  constructor(
    private readonly rl: Interface,
    private readonly output: NodeJS.WritableStream,
  ) {
    rl.once('close', () => {
      this.#closed = true;
      // What still runs would hold the shell open.
      this.#running?.abort('the shell was left');
    });
  }

  async *lines(): AsyncGenerator<string> {
    const lines: string[] = [];
    let wake = (): void => undefined;
    this.rl.on('line', (line) => {
      lines.push(line);
      wake();
    });
    this.rl.once('close', () => wake());
    this.#started = true;
    this.rl.prompt();
    for (;;) {
      const line = lines.shift();
      if (line !== undefined) yield line;
      else if (this.#closed) return;
      else await new Promise<void>((resolve) => (wake = resolve));
      if (lines.length === 0 && !this.#closed && line !== undefined) this.rl.prompt();
    }
  }

  async busy(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#running = new AbortController();
    await work(this.#running.signal);
    this.#running = undefined;
  }

  print(text: string): void {
    clearLine(this.output, 0);
    cursorTo(this.output, 0);
    this.output.write(`${text}\n`);
    const idle = this.#started && this.#running === undefined && !this.#closed;
    if (idle) this.rl.prompt(true);
  }

  /** Ctrl-C: stops waiting for the reply, or clears the line. */
  interrupt(): void {
    if (this.#running !== undefined) {
      this.#running.abort('interrupted');
      return;
    }
    this.output.write('^C\n');
    this.rl.write(null, { ctrl: true, name: 'e' });
    this.rl.write(null, { ctrl: true, name: 'u' });
  }
}

function helpOn(schema: SchemaIndex, command: string | undefined): string {
  if (command === undefined) return schema.commands.join('\n');
  if (!schema.commands.includes(command)) return `error: this QEMU has no command ${command}`;
  const lines = schema
    .argumentsOf(command, [], new Map())
    .map(({ name, optional, type }) => `  ${name}${optional ? ' (optional)' : ''}: ${type}`);
  return [command, ...(lines.length === 0 ? ['  takes no arguments'] : lines)].join('\n');
}
