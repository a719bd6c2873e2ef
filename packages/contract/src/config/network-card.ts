import { z } from 'zod';
import { type Address, address, isLoopback } from './address.js';
import { key, looks, section } from './key-metadata.js';

/** The guest's packets, between the network filters of the two QEMUs. */
const packets = address
  .refine((at) => at.type === 'unix' || at.tls === true || isLoopback(at.host), {
    error: 'must be a unix socket, tls:HOST:PORT or a loopback address',
  })
  .meta(looks('`unix:PATH`, `tls:HOST:PORT` or loopback `HOST:PORT`'));

/** A network card whose connections survive a failover. */
export const networkCard = z.strictObject({
  netdev: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,31}$/, 'write the id of the -netdev of QEMU')
    .meta({
      ...looks('a letter, then letters, digits, `_`, `.`, `-`; at most 32'),
      ...key("id of the card's back end in QEMU (`-netdev`), the same on both hosts", 'net0'),
    }),
  compareTimeoutMs: z
    .number()
    .int()
    .min(50)
    .max(60_000)
    .default(1000)
    .meta(
      key('how long to hold a packet that only one guest has sent before a checkpoint', 1000, {
        unit: 'ms',
      }),
    ),
  primary: z
    .strictObject({
      mirror: packets.meta(
        key(
          "the secondary's socket for packets to the guest, as the primary host reaches it",
          'unix:/run/gannet/web.net0.mirror',
        ),
      ),
      compare: packets.meta(
        key(
          "the secondary's socket for packets from its guest, as the primary host reaches it",
          'unix:/run/gannet/web.net0.compare',
        ),
      ),
    })
    .optional()
    .meta(section("the sockets of the secondary's QEMU, as the primary host reaches them")),
  secondary: z
    .strictObject({
      mirror: packets
        .optional()
        .meta(
          key(
            "where the secondary's QEMU listens for packets to the guest",
            'unix:/run/gannet/web.net0.mirror',
            { fallback: '`unix:/run/gannet/VM.NETDEV.mirror`' },
          ),
        ),
      compare: packets.optional().meta(
        key(
          "where the secondary's QEMU serves the packets of its guest",
          'unix:/run/gannet/web.net0.compare',
          {
            fallback: '`unix:/run/gannet/VM.NETDEV.compare`',
          },
        ),
      ),
    })
    .optional()
    .meta(section("the sockets of the secondary's QEMU, on its own host")),
});

/** A card whose secondary sockets have their defaults filled in. */
export type NetworkCard = Omit<z.output<typeof networkCard>, 'secondary'> & {
  readonly secondary: Readonly<Record<'mirror' | 'compare', Address>>;
};
