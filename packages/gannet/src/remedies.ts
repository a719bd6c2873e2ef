import type { CheckpointerErrorCode } from '@gannet/checkpointer';
import type { NbdErrorCode } from '@gannet/nbd';
import type { QmpErrorCode } from 'qemu-qmp-client';

export const A_BUG = 'This is a mistake in Gannet: report it, with the log of the daemon.';

const SEE_QMP = 'See that the program at `qmp` is a QEMU, and that nobody else uses this socket.';
const QEMU_ENDED = 'See whether QEMU still runs. Started anew, it is found again at its socket.';
const HANGS = 'See whether QEMU hangs or is stopped; `gannet status` says what is known of it.';

/** What to do about errors that do not say so themselves: the packages that know of no operator. */
export const REMEDIES: Readonly<
  Record<NbdErrorCode | QmpErrorCode | CheckpointerErrorCode | 'INTERNAL', string>
> = {
  INTERNAL: A_BUG,
  NBD_PROTOCOL:
    'See that the program at this address is an NBD server or client, and of which version.',
  NBD_COMMAND: 'See the message and log of the other side: it failed there.',
  NBD_REFUSED: 'See `gannet status` on the other side: it says why nothing may be written there.',
  NBD_CONNECTION: 'See that the other side runs, and that the way to it is open.',
  NBD_LISTEN: 'Stop who listens there, or choose another address: `secondary.nbd`.',
  NOT_SEALED: 'The order is seal, then commit or abort.',
  ALREADY_SEALED: 'Commit or abort what is sealed.',
  ENDED: 'Nothing follows a failover: protect the VM again.',
  WRITE_BACK_STOPPED: 'Nothing is lost: it is in memory, or in the journal.',
  QMP_DIAL_FAILED: 'Start QEMU with the QMP socket that the configuration names as `qmp`.',
  QMP_EARLY_CLOSE: SEE_QMP,
  QMP_NEGOTIATION_REFUSED: SEE_QMP,
  QMP_CONNECTION_LOST: QEMU_ENDED,
  QMP_CLOSED: QEMU_ENDED,
  QMP_NOT_OPEN: QEMU_ENDED,
  QMP_MALFORMED_JSON: SEE_QMP,
  QMP_MALFORMED_MESSAGE: SEE_QMP,
  QMP_LINE_TOO_LONG: SEE_QMP,
  QMP_GREETING_MISSING: SEE_QMP,
  QMP_GREETING_INVALID: SEE_QMP,
  QMP_GREETING_REPEATED: SEE_QMP,
  QMP_RESPONSE_WITHOUT_ID: SEE_QMP,
  QMP_UNKNOWN_ID: SEE_QMP,
  QMP_COMMAND_FAILED: 'QEMU says why; `gannet check` finds most reasons beforehand.',
  QMP_CONNECT_TIMEOUT: 'Give Gannet a QMP socket of its own: it serves one client at a time.',
  QMP_COMMAND_TIMEOUT: HANGS,
  QMP_WAIT_TIMEOUT: HANGS,
  QMP_ABORTED: 'Ask again when it is wanted.',
  QMP_OOB_NOT_NEGOTIATED: 'Use a QEMU of version 2.12 or later.',
  QMP_TOO_MANY_COMMANDS: HANGS,
  QMP_UNSERIALIZABLE_ARGUMENTS: A_BUG,
  QMP_INVALID_OPTION: A_BUG,
  QMP_EVENT_OVERFLOW: A_BUG,
  QMP_EARLY_OVERFLOW: SEE_QMP,
};
