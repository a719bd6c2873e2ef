/** A process that logs must outlive whoever reads the log, and never wait for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, createReadStream, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const LOG = path.resolve(import.meta.dirname, '..', 'dist', 'daemon', 'log.js');
/** Says `turn` on stdout for each turn of its event loop, each of which logs 4 KiB. */
const TALKER = `import { createLogger } from ${JSON.stringify(LOG)};
  import { writeSync } from 'node:fs';
  const log = createLogger({ role: 'secondary' });
  const text = 'x'.repeat(4000);
  let turn = 0;
  // As a daemon: it reloads when its terminal goes.
  process.on('SIGHUP', () => log.info('reload'));
  process.on('disconnect', () => process.exit());
  setInterval(() => {
    log.info(text, { turn: ++turn });
    process.send(turn);
  }, 1);`;

let dir: string;
let children: ChildProcess[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-stderr-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  await rm(dir, { recursive: true, force: true });
});

function talker(stderr: number | 'pipe', command: readonly string[] = []): ChildProcess {
  const [program = '', ...args] = [
    ...command,
    ...[process.execPath, '--input-type=module', '--eval', TALKER],
  ];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', stderr, 'ipc'] });
  children.push(child);
  return child;
}

/** Settles after that many turns; rejects if the process ends before. */
async function turns(child: ChildProcess, count: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.on('message', (turn: number) => {
      if (turn >= count) resolve();
    });
    child.once('exit', (code, signal) => reject(new Error(`it ended: ${signal ?? code}`)));
  });
}

/** A pipe, not a socket as Node.js makes them. */
async function pipe(): Promise<{ reader: number; writer: number }> {
  const file = path.join(dir, 'fifo');
  const made = spawn('mkfifo', [file]);
  await once(made, 'exit');
  // Each end waits for the other to be opened, but for this one.
  const first = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(file, constants.O_WRONLY);
  const reader = openSync(file, constants.O_RDONLY);
  closeSync(first);
  return { reader, writer };
}

describe('a process that logs', () => {
  test('goes on while nobody reads the socket', async () => {
    const child = talker('pipe');
    child.stderr?.pause();
    // More than the kernel and the stream together hold.
    await turns(child, 800);
  });

  test('goes on while nobody reads the pipe, and says later what was lost', async () => {
    const { reader, writer } = await pipe();
    const child = talker(writer);
    closeSync(writer);
    await turns(child, 800);
    const lines = createInterface(createReadStream('', { fd: reader }));
    let last = '';
    for await (const line of lines) {
      last = line;
      if (/lines of the log were lost/.test(line)) break;
      // What comes out are whole lines.
      expect(JSON.parse(line)).toMatchObject({ level: 'info', role: 'secondary' });
    }
    expect(JSON.parse(last)).toMatchObject({
      ...{ level: 'warn', message: 'lines of the log were lost: nobody read them' },
      ...{ role: 'secondary', lines: expect.any(Number) },
    });
  });

  test.each(['socket', 'pipe'])('goes on when the reader of the %s is gone', async (kind) => {
    const { reader, writer } = await pipe();
    const child = talker(kind === 'pipe' ? writer : 'pipe');
    closeSync(writer);
    await turns(child, 3);
    if (kind === 'pipe') closeSync(reader);
    else child.stderr?.destroy();
    await turns(child, 100);
    if (kind === 'socket') closeSync(reader);
  });

  test.each<[string, NodeJS.Signals]>([
    ['stopped', 'SIGSTOP'],
    ['closed', 'SIGKILL'],
  ])('goes on when its terminal is %s', async (_what, signal) => {
    // script(1) is the terminal of what it starts.
    const file = path.join(dir, 'talker.mjs');
    await writeFile(file, TALKER);
    const terminal = spawn('script', ['-qc', `exec ${process.execPath} ${file}`, '/dev/null'], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    children.push(terminal);
    const said = new Promise<number>((resolve) => terminal.once('message', resolve));
    await said;
    terminal.kill(signal);
    await new Promise<void>((resolve, reject) => {
      terminal.on('message', (turn: number) => turn >= 800 && resolve());
      terminal.once('disconnect', () => reject(new Error('it ended')));
    });
    terminal.disconnect();
  });
});
