import { z } from 'zod';
import { type Address, isLoopback, migrationAddress } from './address.js';
import { key, looks } from './key-metadata.js';

/** Section `tls`: the credentials of all links between the hosts, and of QMP. */
export const tlsSchema = z.strictObject({
  dir: z
    .string()
    .startsWith('/', 'write an absolute path')
    .meta({
      ...looks('absolute path'),
      ...key(
        "folder of the credentials, with QEMU's file names; QEMU reads it too",
        '/etc/gannet/tls',
      ),
    }),
  kind: z
    .enum(['x509', 'psk'])
    .default('x509')
    .meta(key('`x509`: certificates; `psk`: a pre-shared key in `keys.psk`', 'x509')),
  serverName: z
    .string()
    .min(1)
    .optional()
    .meta(
      key(
        "name in the other host's certificate, if that is not HOST (behind a tunnel or NAT)",
        'host-b',
        { fallback: 'HOST of the address' },
      ),
    ),
  clients: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .meta(
      key(
        'names (common name, DNS or IP) in the certificates of hosts that may connect',
        ['host-a'],
        {
          fallback: 'every host with a certificate of this CA',
        },
      ),
    ),
  username: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-" only')
    .default('gannet')
    .meta({
      ...looks('1 to 64 letters, digits, `_`, `.`, `-`'),
      ...key('which line of `keys.psk` to use', 'gannet'),
    }),
});

/** Section `tls`, checked. */
export type TlsConfig = z.output<typeof tlsSchema>;

const NO_PLAIN_TCP =
  'plain TCP is allowed on loopback only: write tls:HOST:PORT, or use a unix socket and a tunnel';
const NO_TLS = 'tls:HOST:PORT needs the section `tls` with its credentials: docs/how-to/tls.md';

interface CardSockets {
  readonly mirror?: Address | undefined;
  readonly compare?: Address | undefined;
}

interface Addressed {
  readonly tls?: TlsConfig | undefined;
  readonly dangerouslyAllowPlaintextBeyondLoopback: boolean;
  readonly qmp: Address;
  readonly primary?:
    { readonly nbd: Address; readonly peer: Address; readonly migrate: string } | undefined;
  readonly secondary?:
    | {
        readonly nbd?: Address | undefined;
        readonly peer?: Address | undefined;
        readonly migrate?: string | undefined;
      }
    | undefined;
  readonly network?: readonly {
    readonly primary?: CardSockets | undefined;
    readonly secondary?: CardSockets | undefined;
  }[];
}

function addressesOf(config: Addressed): (readonly [string, Address])[] {
  const { qmp, primary, secondary, network = [] } = config;
  const migrations = { primary: primary?.migrate, secondary: secondary?.migrate };
  const all: (readonly [string, Address | undefined])[] = [
    ['qmp', qmp],
    ['primary.nbd', primary?.nbd],
    ['primary.peer', primary?.peer],
    ['secondary.nbd', secondary?.nbd],
    ['secondary.peer', secondary?.peer],
    ...Object.entries(migrations).map(
      ([side, text]) => [`${side}.migrate`, migrationAddress(text ?? '')] as const,
    ),
    ...network.flatMap((card, at) =>
      (['primary', 'secondary'] as const).flatMap((side) =>
        (['mirror', 'compare'] as const).map(
          (end) => [`network.${at}.${side}.${end}`, card[side]?.[end]] as const,
        ),
      ),
    ),
  ];
  return all.flatMap(([key, at]) => (at ? [[key, at] as const] : []));
}

/** The keys whose connections leave this host unencrypted. */
export function plaintextKeys(config: Addressed): string[] {
  return addressesOf(config).flatMap(([key, at]) => {
    return at.type === 'unix' || at.tls || isLoopback(at.host) ? [] : [key];
  });
}

/** Rules that concern all addresses: no plain TCP off this host, no TLS without credentials. */
export function addressIssues(config: Addressed): { path: string[]; message: string }[] {
  const issues = config.dangerouslyAllowPlaintextBeyondLoopback
    ? []
    : plaintextKeys(config).map((key) => ({ path: key.split('.'), message: NO_PLAIN_TCP }));
  if (config.tls) return issues;
  const without = addressesOf(config).filter(([, at]) => at.type === 'inet' && at.tls);
  return [...issues, ...without.map(([key]) => ({ path: key.split('.'), message: NO_TLS }))];
}
