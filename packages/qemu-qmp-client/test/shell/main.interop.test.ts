import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RealQemu } from '../support/real-qemu.js';

const BIN = join(import.meta.dirname, '../../dist/shell/bin.js');

let qemu: RealQemu;
let children: ChildProcess[];

beforeEach(async () => {
  children = [];
  qemu = await RealQemu.start();
  // Its socket is there when it answers.
  await (await qemu.connect()).close();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await qemu.stop();
});

class Shell {
  #output = '';
  #errors = '';
  #changed = (): void => undefined;

  constructor(private readonly child: ChildProcess) {
    children.push(child);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#changed();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
  }

  get output(): string {
    return this.#output;
  }

  get errors(): string {
    return this.#errors;
  }

  get messages(): unknown[] {
    return this.#output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as unknown);
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Until `text` has come, from `from` on. Returns where it ended. */
  async until(text: string, from = 0): Promise<number> {
    let at;
    while ((at = this.#output.indexOf(text, from)) === -1) {
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
    return at + text.length;
  }

  async end(text = ''): Promise<number | null> {
    const exited = once(this.child, 'close');
    this.child.stdin?.end(text);
    const [code] = (await exited) as [number | null];
    return code;
  }
}

function piped(...args: string[]): Shell {
  return new Shell(spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, BIN, ...args]));
}

/** With a terminal of its own. */
function atTerminal(...args: string[]): Shell {
  const command = [process.execPath, BIN, ...args].map((word) => `'${word}'`).join(' ');
  const env = { ...process.env, TERM: 'xterm', XDG_STATE_HOME: join(qemu.folder, 'state') };
  const script = ['script', '--quiet', '--return', '--command', command, '/dev/null'];
  return new Shell(spawn('setpriv', ['--pdeathsig', 'KILL', ...script], { env }));
}

describe('the shell, through pipes', () => {
  it('prints replies, refusals and events as lines of JSON, in order', async () => {
    const shell = piped(qemu.target.path);
    const code = await shell.end(
      [
        '# a comment',
        'stop',
        'query-status',
        'object-add qom-type=throttle-group id=group limits.iops-total=42',
        'qom-get path=/objects/group property=limits',
        'no-such-command',
        '{"exec-oob": "query-yank", "id": 7}',
      ].join('\n'),
    );
    expect(shell.messages).toEqual([
      { event: 'STOP', timestamp: expect.anything() },
      { return: {} },
      { return: expect.objectContaining({ running: false }) },
      { return: {} },
      { return: expect.objectContaining({ 'iops-total': 42 }) },
      { error: { class: 'CommandNotFound', desc: expect.stringContaining('no-such-command') } },
      { return: [{ id: 'compat_monitor0', type: 'chardev' }], id: 7 },
    ]);
    expect(shell.errors).toBe('');
    expect(code).toBe(1);
  });

  it('goes on after a line that cannot be sent, and says so on stderr', async () => {
    const shell = piped('-N', qemu.target.path);
    expect(await shell.end('device_del id\nquery-name\n')).toBe(1);
    expect(shell.messages).toEqual([{ return: {} }]);
    expect(shell.errors).toBe('qemu-qmp-client: id is not of the form name=value\n');
  });

  it('prints events while nothing is asked', async () => {
    const shell = piped(qemu.target.path);
    shell.write('stop\n');
    const at = await shell.until('"return":{}');
    shell.write('cont\n');
    await shell.until('"event":"RESUME"', at);
    expect(await shell.end()).toBe(0);
  });

  it('ends with QEMU: well after quit, with an error otherwise', async () => {
    const quitting = piped(qemu.target.path);
    expect(await quitting.end('quit\n')).toBe(0);
    expect(quitting.messages).toContainEqual({ return: {} });
    const late = piped(qemu.target.path);
    expect(await late.end('query-status\n')).toBe(1);
    expect(late.errors).toMatch(/^qemu-qmp-client: cannot connect to .*qmp\.sock: /);
  });

  it('fails where the connection is lost', async () => {
    const shell = piped(qemu.target.path);
    shell.write('query-name\n');
    await shell.until('"return"');
    qemu.process.kill('SIGKILL');
    // Its stdin stays open: it ends by itself.
    const [code] = (await once(children.at(-1)!, 'close')) as [number];
    expect(code).toBe(1);
    expect(shell.errors).toMatch(/^qemu-qmp-client: /);
  });

  it('tells how it is used', async () => {
    const help = piped('--help');
    expect(await help.end()).toBe(0);
    expect(help.output).toMatch(/^Usage: qemu-qmp-client \[options\] SOCKET\n/);
    for (const args of [[], ['a', 'b'], ['--no-such', 'a'], ['--timeout', 'x', 'a']]) {
      const wrong = piped(...args);
      expect(await wrong.end()).toBe(2);
      expect(wrong.errors).toMatch(/; see qemu-qmp-client --help\n$/);
    }
  });
});

describe('the shell, at a terminal', () => {
  it('completes, prints readably, tells about commands, and keeps its history', async () => {
    const shell = atTerminal(qemu.target.path);
    let at = await shell.until('(QEMU) ');
    // A tab that comes together with other keys is text that was pasted, to node:readline.
    shell.write('query-sta');
    at = await shell.until('query-sta', at);
    shell.write('\t');
    at = await shell.until('t', at);
    shell.write('\t');
    at = await shell.until('query-stats-schemas', at);
    at = await shell.until('query-stat', at + 1);
    shell.write('us\r');
    at = await shell.until('"running": true', at);
    at = await shell.until('(QEMU) ', at);
    shell.write('object-add qom-type=throttle-g');
    at = await shell.until('throttle-g', at);
    shell.write('\t');
    at = await shell.until('roup ', at);
    shell.write('id=g lim');
    at = await shell.until('id=g lim', at);
    shell.write('\t');
    at = await shell.until('its.', at);
    shell.write('iops-total=7\r');
    at = await shell.until('{}', at);
    at = await shell.until('(QEMU) ', at);
    shell.write('stop\r');
    at = await shell.until('STOP', at);
    at = await shell.until('(QEMU) ', at);
    shell.write('help device_del\r');
    at = await shell.until('  id: str', at);
    shell.write('no-such\r');
    await shell.until('error: The command no-such has not been found', at);
    shell.write('\u0004');
    expect(await shell.end()).toBe(0);

    const path = join(qemu.folder, 'state/qemu-qmp-client/history');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readFile(path, 'utf8')).split('\n').map((line) => line.trim())).toEqual([
      'query-status',
      'object-add qom-type=throttle-group id=g limits.iops-total=7',
      'stop',
      'help device_del',
      'no-such',
      '',
    ]);

    const again = atTerminal(qemu.target.path);
    at = await again.until('(QEMU) ');
    again.write('\u001b[A\u001b[A\u001b[A\u001b[A\r');
    await again.until('error: attempt to add duplicate property', at);
    again.write('\u0004');
    expect(await again.end()).toBe(0);
  });

  it('goes on where its history cannot be kept', async () => {
    const shell = atTerminal('--history', '/dev/null/history', qemu.target.path);
    let at = await shell.until('(QEMU) ');
    shell.write('query-status\r');
    at = await shell.until('history is not kept: ', at);
    at = await shell.until('"running": true', at);
    await shell.until('(QEMU) ', at);
    shell.write('\u0004');
    expect(await shell.end()).toBe(0);
  });
});
