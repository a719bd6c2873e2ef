/** Disks and network cards of a configuration, as the driver's options. */
import {
  type ComparedCard,
  type DiskLink,
  type MigrationTls,
  type SecondaryLinks,
  TLS_AUTHZ_ID,
  TLS_CREDS_IDS,
} from '@gannet/qmp-driver';
import {
  type Address,
  type Config,
  migrationOf,
  type PrimaryConfig,
  type SecondaryConfig,
} from '@gannet/contract';
import type { Credentials } from '../tls/credentials.js';

/** The link whose replica is brought up to date, in place of a copy from the beginning. */
export function asUpdate(link: DiskLink): DiskLink {
  const { seedExports, export: name } = link;
  if (!seedExports) return link;
  return { ...link, isUpdate: true, seedExports: { ...seedExports, begin: `${name}-resync` } };
}

/** The export that takes what the base of a replica lacks. */
export function fetchExportOf({ export: name }: DiskLink): string {
  return `${name}-fetch`;
}

/** How the primary's QEMU reaches the replica of each disk. */
export function linksOf({ disks, primary, tls }: PrimaryConfig): readonly DiskLink[] {
  const { nbd } = primary;
  const isSecured = nbd.type === 'inet' && nbd.tls === true;
  const serverName = tls?.kind === 'x509' ? tls.serverName : undefined;
  const secured = {
    ...(isSecured && { tlsCreds: TLS_CREDS_IDS.client }),
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

/** Where the primary's QEMU sends the guest's memory. */
export function outgoingOf({ primary, tls }: PrimaryConfig): { uri: string; tls?: MigrationTls } {
  const { uri, hasTls } = migrationOf(primary.migrate);
  const hostname = tls?.kind === 'x509' ? tls.serverName : undefined;
  return { uri, ...(hasTls && { tls: { creds: TLS_CREDS_IDS.client, hostname } }) };
}

/** How the secondary's QEMU is reached. */
export function secondaryLinksOf(
  { secondary, network, tls }: SecondaryConfig,
  credentials: Credentials | undefined,
): SecondaryLinks {
  const incoming = secondary.migrate === undefined ? undefined : migrationOf(secondary.migrate);
  const cards = network.flatMap(({ secondary: at }) => [at.mirror, at.compare]);
  const isUsed = incoming?.hasTls === true || cards.some(hasTls);
  if (!isUsed || !credentials) return { incoming };
  return { incoming, tls: { creds: credentials.forQemu, clients: clientsOf(tls) } };
}

/** A pre-shared key names nobody. */
function clientsOf(tls: Config['tls']): readonly string[] | undefined {
  return tls?.kind === 'x509' ? tls.clients : undefined;
}

/** An address as an option of QEMU's NBD client. */
export function serverOf(address: Address): DiskLink['server'] {
  if (address.type === 'unix') return address;
  return { type: 'inet', host: address.host, port: address.port };
}

/** The network cards of one role; empty if the configuration has no sockets for it. */
export function cardsOf({ network, tls }: Config, role: 'primary' | 'secondary'): ComparedCard[] {
  const tlsCreds = TLS_CREDS_IDS[role === 'primary' ? 'client' : 'server'];
  const tlsAuthz = role === 'secondary' && clientsOf(tls) ? TLS_AUTHZ_ID : undefined;
  return network.flatMap((card) => {
    const { netdev, compareTimeoutMs, [role]: sockets } = card;
    if (!sockets) return [];
    const secured = (at: Address) => (hasTls(at) ? { ...at, tlsCreds, tlsAuthz } : at);
    const [mirror, compare] = [secured(sockets.mirror), secured(sockets.compare)];
    return [{ netdev, compareTimeoutMs, mirror, compare }];
  });
}

/** Whether the primary's QEMU needs credentials. */
export function usesTls({ primary, network }: PrimaryConfig): boolean {
  const cards = network.flatMap(({ primary: at }) => (at ? [at.mirror, at.compare] : []));
  return migrationOf(primary.migrate).hasTls || [primary.nbd, ...cards].some(hasTls);
}

function hasTls(at: Address): boolean {
  return at.type === 'inet' && at.tls === true;
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
