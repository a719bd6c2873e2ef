/** The guest of the services: bench/services/build.sh. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { findGuest, labCacheDir, type LabGuest, type LabMachine } from '@gannet/lab';
import { BenchError } from '../harness/scope.js';

const ROOT = path.resolve(import.meta.dirname, '..', '..', '..');
const MEMORY_MB = 512;

export interface ServiceImages {
  readonly machine: LabMachine;
  /** What each disk that is protected begins with. */
  readonly data: string;
  /** The folder with the guest's Debian. */
  readonly root: string;
}

/**
 * Builds them on the first call, which takes five minutes.
 *
 * @throws BenchError if they cannot be built
 */
export async function serviceImages(): Promise<ServiceImages> {
  const lab = await findGuest();
  const folder = path.join(labCacheDir(), '..', 'services');
  const script = path.join(ROOT, 'bench', 'services', 'build.sh');
  const build = spawn('bash', [script, folder, labCacheDir()], {
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const [code] = (await once(build, 'close')) as [number | null];
  if (code !== 0) throw new BenchError('the images of the services could not be built');
  const guest: LabGuest = { ...lab, initrd: path.join(folder, 'initrd.gz') };
  return {
    machine: { guest, memoryMb: MEMORY_MB, extraArgs: rootDisk(path.join(folder, 'root.img')) },
    data: path.join(folder, 'data.img'),
    root: path.join(folder, 'root'),
  };
}

/** Debian, which both guests read and none writes: it is no disk that has to be protected. */
function rootDisk(image: string): string[] {
  const node = `driver=raw,node-name=root,read-only=on,file.driver=file,file.read-only=on`;
  return [
    ...['-blockdev', `${node},file.filename=${image}`],
    ...['-device', 'virtio-blk-pci,id=rootdisk,drive=root,addr=0x8'],
  ];
}
