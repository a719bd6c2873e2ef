import { z } from 'zod';
import { type Address, address, isLoopback } from './address.js';

/** Packets cross in the clear: QEMU's filters know nothing of credentials. */
const packets = address.refine(({ type, ...at }) => type === 'unix' || isPlainLoopback(at), {
  error: "a guest's packets take a unix socket or loopback: between hosts, a tunnel",
});

function isPlainLoopback(at: object): boolean {
  const { host, tls } = at as Partial<Extract<Address, { type: 'inet' }>>;
  return host !== undefined && tls !== true && isLoopback(host);
}

/** A network card of the VM whose connections are to outlive a failover. */
export const networkCard = z.strictObject({
  netdev: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,31}$/, 'the id that -netdev has in QEMU')
    .describe("id of the card's back end in QEMU (-netdev), the same on both sides"),
  compareTimeoutMs: z
    .number()
    .int()
    .min(50)
    .max(60_000)
    .default(1000)
    .describe('a packet that only one of the guests has sent waits so long for a checkpoint'),
  primary: z
    .strictObject({
      mirror: packets.describe("the secondary's socket for packets to the guest, seen from here"),
      compare: packets.describe(
        "the secondary's socket for packets from its guest, seen from here",
      ),
    })
    .optional(),
  secondary: z
    .strictObject({
      mirror: packets.optional().describe('where its QEMU listens for packets to the guest'),
      compare: packets.optional().describe("where its QEMU gives its guest's packets"),
    })
    .optional(),
});

/** As a file says it, and where it says nothing, the usual places. */
export type NetworkCard = Omit<z.output<typeof networkCard>, 'secondary'> & {
  readonly secondary: Readonly<Record<'mirror' | 'compare', Address>>;
};
