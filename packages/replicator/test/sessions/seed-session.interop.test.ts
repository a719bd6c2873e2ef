import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { NbdClient, NbdServer } from '@gannet/nbd';
import { expect, test } from '@jest/globals';
import { temporaryFiles } from '../support/files.js';
import { TestVm } from '../support/vm.js';

const run = promisify(execFile);
const at = temporaryFiles();

/** QEMU's block layer with its monitor, as the driver of a primary uses it. */
class Monitor {
  readonly #lines: AsyncIterator<string>;

  private constructor(private readonly child: ChildProcess) {
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  }

  static async start(): Promise<Monitor> {
    const args = ['--chardev', 'stdio,id=m', '--monitor', 'chardev=m'];
    const monitor = new Monitor(spawn('qemu-storage-daemon', args, { stdio: 'pipe' }));
    await monitor.#lines.next();
    await monitor.call('qmp_capabilities');
    return monitor;
  }

  async call(execute: string, args: object = {}): Promise<void> {
    this.child.stdin!.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const { value } = (await this.#lines.next()) as { value: string };
    expect(JSON.parse(value)).toHaveProperty('return');
  }

  async end(): Promise<void> {
    this.child.kill();
    await once(this.child, 'close');
  }
}

test('qemu-img info does not disturb a copy, a node added and deleted begins one', async () => {
  const vm = await TestVm.open(at);
  const server = new NbdServer({ exports: vm.replica.exports, admission: vm.replica.gate });
  const path = at('nbd.sock');
  await server.listen({ path });
  const mirror = await NbdClient.connect({ path }, { export: 'pvm-seed' });
  await mirror.write(0, Buffer.from('AAAA'));
  await run('qemu-img', ['info', `nbd+unix:///pvm-seed?socket=${path}`]);
  await mirror.write(4, Buffer.from('BBBB'));
  expect((await mirror.read(0, 8)).toString()).toBe('AAAABBBB');

  const monitor = await Monitor.start();
  const node = { driver: 'nbd', 'node-name': 'n', server: { type: 'unix', path } };
  await monitor.call('blockdev-add', { ...node, export: 'pvm-seed', discard: 'unmap' });
  await monitor.call('blockdev-del', { 'node-name': 'n' });
  await expect(mirror.write(8, Buffer.from('CCCC'))).rejects.toThrow('goes on over another');
  const next = await NbdClient.connect({ path }, { export: 'pvm-resume' });
  expect((await next.read(0, 8)).equals(Buffer.alloc(8))).toBe(true);
  await monitor.end();
  for (const client of [mirror, next]) client.destroy();
  await server.close();
  await vm.replica.close();
});
