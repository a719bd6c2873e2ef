/** Disks and network cards of a configuration, as the driver's options. */
import { type ComparedCard, type DiskLink, TLS_CREDS_ID } from '@gannet/qmp-driver';
import type { Address, Config, PrimaryConfig } from '@gannet/contract';

/** How the primary's QEMU reaches the replica of each disk. */
export function linksOf({ disks, primary, tls }: PrimaryConfig): readonly DiskLink[] {
  const { nbd } = primary;
  const isSecured = nbd.type === 'inet' && nbd.tls === true;
  const serverName = tls?.kind === 'x509' ? tls.serverName : undefined;
  const secured = {
    ...(isSecured && { tlsCreds: TLS_CREDS_ID }),
    ...(isSecured && serverName !== undefined && { tlsHostname: serverName }),
  };
  return disks.map(({ name, device }) => {
    const link = exportName(disks, name, 'pvm');
    return {
      id: name,
      device,
      link: primary.link,
      server: serverOf(nbd),
      ...secured,
      export: link,
      seedExports: { begin: `${link}-seed`, resume: `${link}-resume`, link: `${link}-link` },
    };
  });
}

/** An address as an option of QEMU's NBD client. */
export function serverOf(address: Address): DiskLink['server'] {
  if (address.type === 'unix') return address;
  return { type: 'inet', host: address.host, port: address.port };
}

/** The network cards of one role; empty if the configuration has no sockets for it. */
export function cardsOf({ network }: Config, role: 'primary' | 'secondary'): ComparedCard[] {
  return network.flatMap((card) => {
    const { netdev, compareTimeoutMs, [role]: sockets } = card;
    return sockets ? [{ netdev, compareTimeoutMs, ...sockets }] : [];
  });
}

/** The replicator's names of its exports: with one disk, the name is left out. */
export function exportName(disks: Config['disks'], name: string, end: 'pvm' | 'svm'): string {
  return disks.length === 1 ? end : `${name}-${end}`;
}

/** An address as it is written in a configuration. */
export function addressText(address: Address): string {
  if (address.type === 'unix') return `unix:${address.path}`;
  return `${address.tls ? 'tls:' : ''}${address.host}:${address.port}`;
}
