/**
 * Names and limits of the QEMU Machine Protocol.
 * Source: QEMU docs/interop/qmp-spec.rst; the sections named are its sections.
 */

/** Every message of the server ends in CRLF ("General Definitions"); a line ends at its LF. */
export const LINE_FEED = 0x0a;

/** The one capability that exists ("Capabilities"). */
export const CAPABILITY_OOB = 'oob';

/** The one command that is allowed before negotiation is done ("Capabilities Negotiation"). */
export const NEGOTIATION_COMMAND = 'qmp_capabilities';

/**
 * In-band commands that may be with QEMU at a time ("Out-of-band execution"). When eight wait in
 * its queue, QEMU stops reading the socket (monitor/qmp.c, QMP_REQ_QUEUE_LEN_MAX - 1), and an
 * out-of-band command that is meant to end a hang is never read. The one that QEMU works on is not
 * in the queue, but while another monitor holds the main thread, all of ours are.
 */
export const MAX_IN_BAND_IN_FLIGHT = 7;

/**
 * Commands that one client holds at a time: waiting, under way, or given up but still to answer.
 */
export const MAX_COMMANDS_HELD = 1024;

/** Messages that may come before negotiation is done; see the essay in handshake.ts. */
export const MAX_EARLY_MESSAGES = 1024;

/**
 * Longest line accepted by default. The longest that QEMU 7.2 sends of itself is the reply to
 * query-qmp-schema, 200 KiB; the text of a human-monitor-command can reach some MiB.
 */
export const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;

export const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
export const DEFAULT_COMMAND_TIMEOUT_MS = 10_000;

/** Events that a stream keeps for a reader that lags behind, by default. */
export const DEFAULT_EVENT_LIMIT = 1024;

/** Longest delay that a Node.js timer takes; more would fire at once. */
export const MAX_TIMEOUT_MS = 2_147_483_647;
