/**
 * COLO as seen from the primary's migration.
 *
 *   none ──► setup ──► active ──► (device) ──► colo ──► completed
 *                └────────┴──────────┴──► failed, cancelled
 *
 * With x-colo set, a migration does not complete: it goes over to `colo` and stays there until
 * x-colo-lost-heartbeat. A `completed` that came first means that QEMU ignored x-colo.
 * Source: QEMU migration/migration.c, migration/colo.c, docs/COLO-FT.txt.
 */
import type { MigrationInfo, QmpClient } from 'qemu-qmp-client';
import { Deadline } from './deadline.js';
import { ColoError, step, qemuReason } from './errors.js';
import { yankAll } from './yank.js';

/** QEMU's default of `x-checkpoint-delay` (migration/options.c). */
const DEFAULT_DELAY_MS = 20_000;

/** Where a step on the migration is done, and how long it may take. */
export interface MigrationContext {
  readonly qmp: QmpClient;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
  readonly pollMs: number;
}

/**
 * Milliseconds between checkpoints; in COLO this also starts one at once (migration/colo.c,
 * colo_checkpoint_notify).
 */
export async function setCheckpointDelay(
  { qmp, deadline, commandTimeoutMs }: MigrationContext,
  periodMs: number,
): Promise<void> {
  await step(
    () =>
      qmp.execute(
        'migrate-set-parameters',
        { 'x-checkpoint-delay': periodMs },
        deadline.options(commandTimeoutMs),
      ),
    (words, cause) => {
      const message = `the checkpoint period of ${periodMs} ms was refused: ${words}`;
      return new ColoError(
        'DRIVER_COMMAND_FAILED',
        message,
        'Use a whole number of milliseconds.',
        {
          cause,
        },
      );
    },
  );
}

/** @throws ColoError `DRIVER_COMMAND_FAILED` */
export async function queryMigration(context: MigrationContext): Promise<MigrationInfo> {
  const { qmp, deadline, commandTimeoutMs } = context;
  return step(
    () => qmp.execute('query-migrate', {}, deadline.options(commandTimeoutMs)),
    queryFailed,
  );
}

/**
 * Starts a checkpoint at once. Resolves when QEMU has taken the command, not when it is done.
 * @throws ColoError `DRIVER_NOT_IN_COLO`
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function checkpointNow(context: MigrationContext): Promise<void> {
  const { qmp, deadline, commandTimeoutMs } = context;
  const parameters = await step(
    () => qmp.execute('query-migrate-parameters', {}, deadline.options(commandTimeoutMs)),
    queryFailed,
  );
  const { status } = await queryMigration(context);
  if (status !== 'colo') {
    const message = `no checkpoint can be taken: the migration's status is ${status ?? 'none'}`;
    throw new ColoError('DRIVER_NOT_IN_COLO', message, 'Protect the VM first.');
  }
  await setCheckpointDelay(context, parameters['x-checkpoint-delay'] ?? DEFAULT_DELAY_MS);
}

/**
 * Starts the migration and waits until COLO runs. `health` is called at every look and throws when
 * there is no point in going on. `onProgress` hears how much of the guest's memory is there; what
 * the guest writes meanwhile has to be sent again. Whatever goes wrong, the migration is told to
 * stop.
 * @throws ColoError `DRIVER_COLO_REFUSED` with QEMU's error-desc
 * @throws ColoError `DRIVER_COLO_NOT_ENTERED` with QEMU's error-desc
 * @throws WaitError
 * @throws what `health` throws
 */
export async function migrateIntoColo(
  context: MigrationContext,
  uri: string,
  health: () => void,
  onProgress: (doneBytes: number, totalBytes: number) => void = () => undefined,
): Promise<void> {
  const { qmp, deadline, commandTimeoutMs, pollMs } = context;
  await step(
    () => qmp.execute('migrate', { uri }, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the migration to ${uri} was refused: ${words}`;
      const remedy = 'See that the secondary listens there and that no migration is under way.';
      return new ColoError('DRIVER_COLO_REFUSED', message, remedy, { cause });
    },
  );
  try {
    for (;;) {
      health();
      const info = await queryMigration(context);
      if (info.status === 'colo') return;
      const failure = notEntered(info, uri);
      if (failure !== undefined) throw failure;
      if (info.ram) onProgress(info.ram.total - info.ram.remaining, info.ram.total);
      await deadline.pause(pollMs);
    }
  } catch (error) {
    // Past its own deadline or signal: this one has a bound of its own, and its failure adds
    // nothing.
    const over = new Deadline('stopping the migration', { timeoutMs: commandTimeoutMs });
    await queryMigration({ ...context, deadline: over })
      .then(({ status }) => stopMigration({ ...context, deadline: over }, status))
      .catch(() => undefined);
    throw error;
  }
}

function notEntered(info: MigrationInfo, uri: string): ColoError | undefined {
  const why = info['error-desc'] ?? 'QEMU gives no reason';
  switch (info.status) {
    case 'failed':
    case 'cancelled':
      return new ColoError(
        'DRIVER_COLO_NOT_ENTERED',
        `the migration to ${uri} ${info.status}: ${why}`,
        'See that the secondary waits there, with the same QEMU, devices and disk sizes.',
      );
    case 'completed':
      return new ColoError(
        'DRIVER_COLO_NOT_ENTERED',
        `the migration to ${uri} completed without entering COLO, or COLO ended at once`,
        'If the status is postmigrate, this QEMU cannot enter COLO: stop the secondary, then cont.',
      );
    default:
      return undefined;
  }
}

/** What the migration of a QEMU that has forgotten COLO may stay in. */
const FORGOTTEN: ReadonlySet<string> = new Set(['setup', 'cancelling']);

/** Run states that a checkpoint leaves behind which never came to its end. */
const MID_CHECKPOINT: ReadonlySet<string> = new Set(['colo', 'finish-migrate']);

/**
 * Ends COLO, or a migration on its way there, from the primary's side: the guest runs on. Harmless
 * when neither is under way.
 *
 * QEMU may have forgotten that it is in COLO: 7.2 after somebody's `migrate`, 11.1 after somebody's
 * `migrate_cancel`. Then its thread waits for x-colo-lost-heartbeat, which it refuses, and the
 * status stays what it is until QEMU ends. Nothing is left of COLO but that.
 * @param patienceMs how long a migration that was told to stop may take
 * @returns the status that the migration stays in, if it never ends
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function leaveColo(
  context: MigrationContext,
  patienceMs: number,
): Promise<string | undefined> {
  const { qmp, deadline, commandTimeoutMs, pollMs } = context;
  let toldMs: number | undefined;
  for (;;) {
    const { status } = await queryMigration(context);
    const options = deadline.options(commandTimeoutMs);
    const colo = await step(() => qmp.execute('query-colo-status', {}, options), queryFailed);
    if (status === undefined || MIGRATION_OVER.has(status)) {
      if (colo.mode === 'none') return undefined;
    } else if (status === 'colo') {
      await tolerate(() => qmp.execute('x-colo-lost-heartbeat', {}, options), context);
    } else {
      await tolerate(() => stopMigration(context, status), context);
      const nowMs = performance.now();
      toldMs ??= nowMs;
      if (FORGOTTEN.has(status) && colo.mode === 'none' && nowMs - toldMs >= patienceMs) {
        await goOnMidCheckpoint(context);
        return status;
      }
    }
    await deadline.pause(pollMs);
  }
}

/** The end of COLO continues the guest; here it never comes. */
async function goOnMidCheckpoint(context: MigrationContext): Promise<void> {
  const { qmp, deadline, commandTimeoutMs } = context;
  await step(async () => {
    const { status } = await qmp.execute('query-status', {}, deadline.options(commandTimeoutMs));
    if (!MID_CHECKPOINT.has(status)) return;
    await qmp.execute('cont', {}, deadline.options(commandTimeoutMs));
  }, queryFailed);
}

/**
 * Stops a migration on its way to COLO. `migrate_cancel` would be wrong for one that is there, and
 * it may get there at any moment: QEMU then waits for x-colo-lost-heartbeat, and refuses it, and
 * the guest stands still for good (seen on 11.1.3). A connection that is cut ends either: the
 * migration fails, or COLO waits for its end. Before there is one, COLO is far.
 */
async function stopMigration(
  { qmp, deadline, commandTimeoutMs }: MigrationContext,
  status: string | undefined,
): Promise<void> {
  const { timeoutMs } = deadline.options(commandTimeoutMs);
  const cut = await yankAll(qmp, { nodes: [], chardevs: [], migration: true }, timeoutMs);
  if (cut.length > 0 && status !== 'setup') return;
  await qmp.execute('migrate_cancel', {}, { timeoutMs });
}

/**
 * A migration that completed although nobody wanted it leaves a guest that must not just be
 * continued.
 * @throws ColoError `DRIVER_GUEST_STOPPED`
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function checkGuest({
  qmp,
  deadline,
  commandTimeoutMs,
}: MigrationContext): Promise<void> {
  const options = deadline.options(commandTimeoutMs);
  const { status } = await step(() => qmp.execute('query-status', {}, options), queryFailed);
  if (status !== 'postmigrate') return;
  throw new ColoError(
    'DRIVER_GUEST_STOPPED',
    "the guest is stopped: QEMU's status is postmigrate, its state may run on the secondary",
    'Stop the secondary for good, then continue the guest here with cont.',
  );
}

/** Statuses with nothing under way. Releases add to those that are: never list them. */
export const MIGRATION_OVER: ReadonlySet<string> = new Set([
  'none',
  'completed',
  'failed',
  'cancelled',
]);

/**
 * The state may have moved on since it was asked, and the command then be refused. Only while the
 * deadline lasts: the next look decides.
 */
async function tolerate(run: () => Promise<unknown>, context: MigrationContext): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (context.qmp.state !== 'open') throw queryFailed(qemuReason(error), error);
  }
}

function queryFailed(words: string, cause: unknown): ColoError {
  const remedy = 'See whether QEMU still runs, and connect to it again.';
  return new ColoError(
    'DRIVER_COMMAND_FAILED',
    `QEMU cannot be asked about COLO: ${words}`,
    remedy,
    {
      cause,
    },
  );
}
