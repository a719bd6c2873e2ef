/**
 * TLS on the migration. QEMU takes it from parameters, not from the address: the primary's at
 * `migrate`, the secondary's when a connection is accepted (QEMU migration/tls.c).
 */
import type { QmpClient } from 'qemu-qmp-client';
import type { Deadline } from '../deadline.js';
import { ColoError, step } from '../errors.js';
import { isOurTls } from '../tls-creds.js';

/** Ids of objects of QEMU that exist already, and the name to expect. */
export interface MigrationTls {
  readonly creds: string;
  /** Name in the secondary's certificate. Default: the host of the address. */
  readonly hostname?: string | undefined;
  /** Who may connect. Default: everybody whom the authority has certified. */
  readonly authz?: string | undefined;
}

interface TlsContext {
  readonly qmp: QmpClient;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
}

/** Of QEMU's parameters an empty text means none. */
const NONE = { 'tls-creds': '', 'tls-hostname': '', 'tls-authz': '' };

/**
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function setMigrationTls(
  context: TlsContext,
  { creds, hostname = '', authz = '' }: MigrationTls,
): Promise<void> {
  await set(context, { 'tls-creds': creds, 'tls-hostname': hostname, 'tls-authz': authz });
}

/**
 * The next migration is without TLS again, if it was ours that the last one had.
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function clearMigrationTls(context: TlsContext): Promise<void> {
  const { qmp, deadline, commandTimeoutMs } = context;
  const { 'tls-creds': creds } = await step(
    () => qmp.execute('query-migrate-parameters', {}, deadline.options(commandTimeoutMs)),
    refused,
  );
  if (typeof creds === 'string' && isOurTls(creds)) await set(context, NONE);
}

async function set(
  { qmp, deadline, commandTimeoutMs }: TlsContext,
  parameters: typeof NONE,
): Promise<void> {
  await step(
    () => qmp.execute('migrate-set-parameters', parameters, deadline.options(commandTimeoutMs)),
    refused,
  );
}

function refused(words: string, cause: unknown): ColoError {
  const message = `QEMU does not take the TLS settings of the migration: ${words}`;
  const remedy = 'See that no other migration is under way.';
  return new ColoError('DRIVER_COMMAND_FAILED', message, remedy, { cause });
}
