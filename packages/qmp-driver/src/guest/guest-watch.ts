/** What happens to a guest that its protection has to know of. */
import type { QmpClient, QmpEvent } from 'qemu-qmp-client';

/**
 * - `ended`: somebody wanted it: the guest was shut down, or QEMU was told to quit.
 * - `crashed`: it panicked, or its watchdog ran out.
 * - `asleep`: it suspended to memory (S3). A checkpoint would continue it where it sleeps, and
 *   nothing could wake it any more (QEMU migration/colo.c, vm_start).
 */
export interface GuestEvent {
  readonly kind: 'ended' | 'crashed' | 'asleep';
  readonly reason: string;
}

type ShutdownReason = Extract<QmpEvent, { event: 'SHUTDOWN' }>['data']['reason'];

/**
 * What SHUTDOWN means, by its reason (QEMU qapi/run-state.json, ShutdownCause); undefined where
 * nobody wanted the end of this VM. A signal comes from whoever stops the host, too.
 */
const SHUTDOWNS: Readonly<Partial<Record<ShutdownReason, GuestEvent>>> = {
  'guest-shutdown': { kind: 'ended', reason: 'the guest shut itself down' },
  'guest-reset': { kind: 'ended', reason: 'the guest rebooted, and its QEMU has -no-reboot' },
  'guest-panic': { kind: 'crashed', reason: 'the guest panicked' },
  'host-qmp-quit': { kind: 'ended', reason: 'QEMU was told to quit' },
  'host-qmp-system-reset': { kind: 'ended', reason: 'it was reset, and its QEMU has -no-reboot' },
  'host-ui': { kind: 'ended', reason: 'the window of QEMU was closed' },
};

/** Actions of a watchdog that leave a guest which does not run. */
const WATCHDOG_ENDS: ReadonlySet<string> = new Set(['pause', 'poweroff']);

/**
 * Tells what happens to the guest, synchronously with QEMU's event.
 * @returns the function that stops it
 */
export function watchGuest(qmp: QmpClient, listener: (event: GuestEvent) => void): () => void {
  return qmp.on((event) => {
    const guest = guestEventOf(event);
    if (guest) listener(guest);
  });
}

/** @returns undefined for what changes nothing: a reset, for example, is replicated as it is */
export function guestEventOf(event: QmpEvent): GuestEvent | undefined {
  switch (event.event) {
    case 'SHUTDOWN':
      return SHUTDOWNS[event.data.reason];
    case 'GUEST_PANICKED':
      return { kind: 'crashed', reason: 'the guest panicked' };
    case 'WATCHDOG':
      if (!WATCHDOG_ENDS.has(event.data.action)) return undefined;
      return { kind: 'crashed', reason: 'the watchdog of the guest ran out' };
    case 'SUSPEND':
      return { kind: 'asleep', reason: 'the guest suspended to memory' };
    default:
      return undefined;
  }
}
