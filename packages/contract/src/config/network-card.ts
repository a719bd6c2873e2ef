import { z } from 'zod';
import { type Address, address, isLoopback } from './address.js';
import { key, looks, section } from './key-metadata.js';

/** Packets cross in the clear: QEMU's filters know nothing of credentials. */
const packets = address
  .refine(({ type, ...at }) => type === 'unix' || isPlainLoopback(at), {
    error: "a guest's packets take a unix socket or loopback: between hosts, a tunnel",
  })
  .meta(looks('`unix:PATH` or loopback `HOST:PORT`'));

function isPlainLoopback(at: object): boolean {
  const { host, tls } = at as Partial<Extract<Address, { type: 'inet' }>>;
  return host !== undefined && tls !== true && isLoopback(host);
}

/** A network card of the VM whose connections are to outlive a failover. */
export const networkCard = z.strictObject({
  netdev: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,31}$/, 'the id that -netdev has in QEMU')
    .meta({
      ...looks('id: a letter, then letters, digits, `_`, `.`, `-`; 32 at most'),
      ...key("id of the card's back end in QEMU (-netdev), the same on both sides", 'net0'),
    }),
  compareTimeoutMs: z
    .number()
    .int()
    .min(50)
    .max(60_000)
    .default(1000)
    .meta(
      key('a packet that only one of the guests has sent waits so long for a checkpoint', 1000, {
        unit: 'ms',
      }),
    ),
  primary: z
    .strictObject({
      mirror: packets.meta(
        key(
          "the secondary's socket for packets to the guest, seen from here",
          'unix:/run/gannet/web.net0.mirror',
        ),
      ),
      compare: packets.meta(
        key(
          "the secondary's socket for packets from its guest, seen from here",
          'unix:/run/gannet/web.net0.compare',
        ),
      ),
    })
    .optional()
    .meta(section("the sockets of the secondary's QEMU, seen from the primary")),
  secondary: z
    .strictObject({
      mirror: packets
        .optional()
        .meta(
          key(
            'where its QEMU listens for packets to the guest',
            'unix:/run/gannet/web.net0.mirror',
            { fallback: '`unix:/run/gannet/VM.NETDEV.mirror`' },
          ),
        ),
      compare: packets.optional().meta(
        key("where its QEMU gives its guest's packets", 'unix:/run/gannet/web.net0.compare', {
          fallback: '`unix:/run/gannet/VM.NETDEV.compare`',
        }),
      ),
    })
    .optional()
    .meta(section("the same, where the secondary's QEMU listens")),
});

/** As a file says it, and where it says nothing, the usual places. */
export type NetworkCard = Omit<z.output<typeof networkCard>, 'secondary'> & {
  readonly secondary: Readonly<Record<'mirror' | 'compare', Address>>;
};
