import type { Address } from '@gannet/contract';
import type { TcpTarget, TlsTarget, UnixTarget } from 'qemu-qmp-client';
import type { Credentials } from './credentials.js';

/**
 * An address as a target of qemu-qmp-client.
 *
 * @param credentials for an address with TLS
 */
export function qmpTargetOf(
  address: Address,
  credentials?: Credentials,
): UnixTarget | TcpTarget | TlsTarget {
  if (address.type === 'unix') return { kind: 'unix', path: address.path };
  const { host, port } = address;
  if (!address.tls) return { kind: 'tcp', host, port };
  // `tls.serverName` is the name of the other daemon, not of this QEMU.
  return { ...credentials?.client({ serverName: undefined }), kind: 'tls', host, port };
}
