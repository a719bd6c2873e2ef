/** QEMU itself, with machines that are not started: their devices, their memory, their words. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';

export const IMAGE_BYTES = 4 << 20;

/** A folder, and what was started in it. */
export class RealQemu {
  readonly #processes: { child: ChildProcess; stderr: string }[] = [];
  readonly #clients: QmpClient[] = [];

  private constructor(readonly folder: string) {}

  static async create(): Promise<RealQemu> {
    return new RealQemu(await mkdtemp(join(tmpdir(), 'real-qemu-')));
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#processes.map(({ child }) => end(child)));
    await rm(this.folder, { recursive: true });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async image(name: string, bytes = IMAGE_BYTES): Promise<string> {
    const path = this.path(name);
    // Not all zeroes: a mirror would have nothing to write.
    await writeFile(path, Buffer.alloc(65_536, 1));
    await truncate(path, bytes);
    return path;
  }

  /** Dies with this process, whatever becomes of it. */
  run(...command: readonly string[]): ChildProcess {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command]);
    const started = { child, stderr: '' };
    child.stderr.on('data', (data: Buffer) => (started.stderr += data.toString()));
    this.#processes.push(started);
    return child;
  }

  /** @throws with what QEMU says, where it ends */
  async monitor(target: Parameters<typeof connectWithRetry>[0]['target']): Promise<QmpClient> {
    const last = this.#processes.at(-1);
    const ended = new AbortController();
    last?.child.once('close', () => ended.abort());
    try {
      const { signal } = ended;
      const client = await connectWithRetry({ target, deadlineMs: 30_000, signal });
      this.#clients.push(client);
      return client;
    } catch (cause) {
      throw new Error(`QEMU says: ${last?.stderr ?? ''}`, { cause });
    }
  }

  /** An NBD server with these exports. */
  async exports(...names: readonly string[]): Promise<string> {
    const path = this.path('nbd.sock');
    const nodes = await Promise.all(
      names.map(async (name) => {
        const file = await this.image(`${name}.raw`);
        return [
          ...['--blockdev', `driver=file,filename=${file},node-name=${name}`],
          ...['--export', `type=nbd,id=${name},node-name=${name},name=${name},writable=on`],
        ];
      }),
    );
    const server = ['--nbd-server', `addr.type=unix,addr.path=${path},max-connections=0`];
    this.run('qemu-storage-daemon', ...server, ...nodes.flat());
    await listens(path);
    return path;
  }
}

/** The socket's file is there a moment before anybody listens. */
export async function listens(path: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    const socket = connect(path);
    const isAccepted = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isAccepted) return;
    await sleep(10);
  }
  throw new Error(`nobody listens at ${path}`);
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
