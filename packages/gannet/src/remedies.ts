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
  CHECKPOINT_NOT_SEALED: 'The order is seal, then commit or abort.',
  CHECKPOINT_ALREADY_SEALED: 'Commit or abort what is sealed.',
  CHECKPOINT_ENDED: 'Nothing follows a failover: protect the VM again.',
  CHECKPOINT_WRITE_BACK_STOPPED: 'Nothing is lost: it is in memory, or in the journal.',
  'dial-failed': 'Start QEMU with the QMP socket that the configuration names as `qmp`.',
  'early-close': SEE_QMP,
  'negotiation-refused': SEE_QMP,
  'connection-lost': QEMU_ENDED,
  closed: QEMU_ENDED,
  'not-open': QEMU_ENDED,
  'malformed-json': SEE_QMP,
  'malformed-message': SEE_QMP,
  'line-too-long': SEE_QMP,
  'greeting-missing': SEE_QMP,
  'greeting-invalid': SEE_QMP,
  'greeting-repeated': SEE_QMP,
  'response-without-id': SEE_QMP,
  'unknown-id': SEE_QMP,
  'command-failed': 'QEMU says why; `gannet check` finds most reasons beforehand.',
  'connect-timeout': 'Give Gannet a QMP socket of its own: it serves one client at a time.',
  'command-timeout': HANGS,
  'wait-timeout': HANGS,
  aborted: 'Ask again when it is wanted.',
  'oob-not-negotiated': 'Use a QEMU of version 2.12 or later.',
  'too-many-commands': HANGS,
  'unserializable-arguments': A_BUG,
  'invalid-option': A_BUG,
  'event-overflow': A_BUG,
  'early-overflow': SEE_QMP,
};
