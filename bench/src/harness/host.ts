/** The machine and the programs that were measured. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { diskBelow } from '@gannet/lab';

const execute = promisify(execFile);

export interface HostFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly disk: string;
  readonly qemu: string;
  readonly fio: string;
  readonly nbdkit: string;
  readonly node: string;
  readonly gannet: string;
}

export async function hostFacts(): Promise<HostFacts> {
  const { model = 'unknown' } = cpus()[0] ?? {};
  const [qemu, fio, nbdkit, gannet, disk] = await Promise.all([
    firstLine('qemu-system-x86_64', '--version'),
    firstLine('fio', '--version'),
    firstLine('nbdkit', '--version'),
    firstLine('git', 'describe', '--always', '--dirty'),
    diskOfTemporaryFiles(),
  ]);
  return {
    cpu: model,
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    disk,
    qemu: qemu.replace('QEMU emulator version ', ''),
    fio: fio.replace('fio-', ''),
    nbdkit: nbdkit.replace('nbdkit ', ''),
    node: process.versions.node,
    gannet,
  };
}

async function diskOfTemporaryFiles(): Promise<string> {
  const device = await diskBelow();
  if (!device) return 'unknown';
  const queue = `/sys/block/${device.name}/queue`;
  const turns = (await readFile(`${queue}/rotational`, 'utf8').catch(() => '')).trim();
  return `${device.name}${turns === '' ? '' : turns === '0' ? ', not rotational' : ', rotational'}`;
}

async function firstLine(...[program = '', ...args]: string[]): Promise<string> {
  try {
    const { stdout } = await execute(program, args);
    return stdout.split('\n')[0]?.trim() ?? '';
  } catch {
    return 'not installed';
  }
}
