/** What the two configurations say of the disks and how they are linked. */
import { type ComparedCard, type DiskLink, TLS_CREDS_ID } from '@gannet/qmp-driver';
import type { Address, Config, PrimaryConfig } from '@gannet/contract';

/** How the primary reaches the replicas. */
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

/** As QEMU is told. */
export function serverOf(address: Address): DiskLink['server'] {
  if (address.type === 'unix') return address;
  return { type: 'inet', host: address.host, port: address.port };
}

/** The network cards of a primary, or of a secondary. */
export function cardsOf({ network }: Config, role: 'primary' | 'secondary'): ComparedCard[] {
  return network.flatMap((card) => {
    const { netdev, compareTimeoutMs, [role]: sockets } = card;
    return sockets ? [{ netdev, compareTimeoutMs, ...sockets }] : [];
  });
}

/** The replicator names its exports so: a VM with one disk has no use for the disk's name. */
export function exportName(disks: Config['disks'], name: string, end: 'pvm' | 'svm'): string {
  return disks.length === 1 ? end : `${name}-${end}`;
}

export function addressText(address: Address): string {
  if (address.type === 'unix') return `unix:${address.path}`;
  return `${address.tls ? 'tls:' : ''}${address.host}:${address.port}`;
}
