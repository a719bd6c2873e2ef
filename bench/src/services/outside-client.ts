/** Clients of Redis outside the VM: the programs of the guest's Debian, run from its root. */
import type { ClientNetwork } from '@gannet/lab';
import type { ServiceImages } from './images.js';

const PORT = 6379;

export function outsideClient(
  network: ClientNetwork,
  { root }: ServiceImages,
  program: 'redis-benchmark' | 'redis-cli',
  ...args: readonly string[]
): string[] {
  const server = ['-h', network.guestAddress, '-p', `${PORT}`];
  return network.outside('chroot', root, program, ...server, ...args);
}
