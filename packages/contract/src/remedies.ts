import type { CheckpointerErrorCode } from '@gannet/checkpointer';
import type { NbdErrorCode } from '@gannet/nbd';
import type { QmpErrorCode } from 'qemu-qmp-client';

/** The remedy of errors that only a bug in Gannet can cause. */
export const A_BUG = 'This is a bug in Gannet: please report it, with the log of the daemon.';

const SEE_QMP = 'Check that `qmp` is the QMP socket of a QEMU, and that no other program uses it.';
const QEMU_ENDED =
  'Check whether QEMU still runs. If you start it again, the daemon reconnects by itself.';
const HANGS = 'Check whether the QEMU process hangs or was stopped (SIGSTOP, a debugger).';

/** Remedies for errors of packages that are used without an operator, and so carry none. */
export const REMEDIES: Readonly<
  Record<NbdErrorCode | QmpErrorCode | CheckpointerErrorCode | 'GANNET_INTERNAL', string>
> = {
  GANNET_INTERNAL: A_BUG,
  NBD_PROTOCOL: 'Check that the program at this address speaks NBD, and update it if it is old.',
  NBD_COMMAND: 'Read the log of the NBD server on the other host: the request failed there.',
  NBD_REFUSED: 'Run `gannet status` on the other host: it says why writes are refused there.',
  NBD_CONNECTION: 'Check that the other side runs, and the network or tunnel to it.',
  NBD_LISTEN: 'Stop the program that uses this address, or set `secondary.nbd` to another.',
  NBD_USAGE: A_BUG,
  CHECKPOINT_NOT_SEALED: 'Call `seal` first, then `commit` or `abort`.',
  CHECKPOINT_ALREADY_SEALED: 'Call `commit` or `abort` for the sealed epoch first.',
  CHECKPOINT_ENDED:
    'There are no checkpoints after a failover: run `gannet reprotect` to protect the VM again.',
  CHECKPOINT_WRITE_BACK_STOPPED:
    'Nothing is lost: the data is in memory or in the journal. Fix the storage that the log names.',
  QMP_DIAL_FAILED: 'Start QEMU with the QMP socket that the configuration names under `qmp`.',
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
  QMP_COMMAND_FAILED:
    'Read the reason that QEMU gives; `gannet check` finds most such problems in advance.',
  QMP_CONNECT_TIMEOUT: 'Give Gannet a QMP socket of its own: QEMU serves one client at a time.',
  QMP_COMMAND_TIMEOUT: HANGS,
  QMP_WAIT_TIMEOUT: HANGS,
  QMP_ABORTED: 'Run the command again if you still need it.',
  QMP_OOB_NOT_NEGOTIATED: 'Use QEMU 7.2 or later.',
  QMP_TOO_MANY_COMMANDS: HANGS,
  QMP_UNSERIALIZABLE_ARGUMENTS: A_BUG,
  QMP_INVALID_OPTION: A_BUG,
  QMP_EVENT_OVERFLOW: A_BUG,
  QMP_EARLY_OVERFLOW: SEE_QMP,
};
