import type { Address } from '@gannet/contract';
import type { TcpTarget, TlsTarget, UnixTarget } from 'qemu-qmp-client';
import type { Credentials } from './credentials.js';

/** The address as qemu-qmp-client wants it. @param credentials of who has an address with TLS */
export function qmpTargetOf(
  address: Address,
  credentials?: Credentials,
): UnixTarget | TcpTarget | TlsTarget {
  if (address.type === 'unix') return { kind: 'unix', path: address.path };
  const { host, port } = address;
  if (!address.tls) return { kind: 'tcp', host, port };
  // That is QEMU beside us, or one with a name of its own: `serverName` is the other daemon's.
  return { ...credentials?.client({ serverName: undefined }), kind: 'tls', host, port };
}
