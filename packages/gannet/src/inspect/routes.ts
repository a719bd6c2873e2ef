/**
 * Whether the migration waits for delayed acknowledgements.
 *
 * At a checkpoint, QEMU's two ends exchange small messages and do not set TCP_NODELAY. Nagle's
 * algorithm then holds back a message until the one before it is acknowledged, and the other host
 * delays its acknowledgement by 40 ms because it has nothing to send. The guest is stopped
 * meanwhile. With `quickack 1` on its route, a host acknowledges at once.
 */
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Address, isLoopback } from '@gannet/contract';

const IP_TIMEOUT_MS = 2000;

/** How packets of the migration leave a host. */
export interface RouteFacts {
  /** Key of the configuration that has the address. */
  readonly key: string;
  /** The numeric address of the other end. */
  readonly address: string;
  /** The route to that address alone, as `ip route replace` takes it. */
  readonly route: string;
  readonly hasQuickAck: boolean;
}

/** Runs `ip` with these arguments, and returns what it prints. */
export type RunIp = (args: readonly string[]) => Promise<string>;

const runIp: RunIp = async (args) => {
  const options = { timeout: IP_TIMEOUT_MS, encoding: 'utf8' } as const;
  return (await promisify(execFile)('ip', [...args], options)).stdout;
};

/** What `ip -json route get` prints. */
const answer = z.tuple([
  z.object({
    type: z.string().optional(),
    dst: z.string(),
    gateway: z.string().optional(),
    via: z.object({ family: z.string(), host: z.string() }).optional(),
    dev: z.string(),
    prefsrc: z.string().optional(),
    metrics: z.array(z.object({ quickack: z.number().optional() })).optional(),
  }),
]);

/**
 * The route to a host, or no route: where `ip` is missing or has none, and to an IPv6 address of
 * this host, whose route cannot be replaced.
 */
export async function routeTo(
  key: string,
  host: string,
  run: RunIp = runIp,
): Promise<readonly RouteFacts[]> {
  try {
    const { address } = await lookup(host);
    const [found] = answer.parse(JSON.parse(await run(['-json', 'route', 'get', address])));
    const { type, dst, gateway, via, dev, prefsrc, metrics = [] } = found;
    const isLocal = type === 'local';
    if (isLocal && dst.includes(':')) return [];
    const next = gateway ?? (via && `${via.family} ${via.host}`);
    const route = [
      ...[isLocal ? `local ${dst}` : dst, next && `via ${next}`, `dev ${dev}`],
      ...[prefsrc && `src ${prefsrc}`],
    ];
    const hasQuickAck = metrics.some(({ quickack }) => quickack === 1);
    return [{ key, address: dst, route: route.filter(Boolean).join(' '), hasQuickAck }];
  } catch {
    return [];
  }
}

/**
 * The host at the other end of a secondary's migration: the peer, or a tunnel on this host.
 *
 * @param peer address of the primary's daemon, if it is connected over TCP
 */
export function migrationSource(
  migrate: Address | undefined,
  peer: string | undefined,
): string | undefined {
  if (migrate?.type !== 'inet') return undefined;
  return isLoopback(migrate.host) ? migrate.host : peer?.replace(/^::ffff:/, '');
}
