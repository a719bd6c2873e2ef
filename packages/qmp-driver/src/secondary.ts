/**
 * The secondary's side: it waits for its primary, takes over, and moves to its local files.
 *
 *   inmigrate ──► COLO ──► took over ──► on local files
 *
 * In COLO its mode is `secondary`; afterwards the mode is `none` and the last mode `secondary`.
 */
import type { ColoStatus, QmpClient } from 'qemu-qmp-client';
import { ColoCapabilities } from './migration/colo-capabilities.js';
import { Deadline } from './deadline.js';
import { ColoError, FailoverError, step, qemuReason } from './errors.js';
import { MIGRATION_OVER } from './migration.js';
import { clearMigrationTls, setMigrationTls } from './migration/migration-tls.js';
import { type LocalDisk, LocalMove, type MoveOutcome } from './disk/move-to-local.js';
import { chardevNames, type ComparedCard } from './network/compared-card.js';
import { openNetwork, prepareNetwork } from './network/secondary-network.js';
import {
  dropTlsCreds,
  putTlsAuthz,
  putTlsCreds,
  TLS_AUTHZ_ID,
  TLS_CREDS_IDS,
  type TlsCreds,
} from './tls-creds.js';
import { yankAll } from './yank.js';

/** Options of a SecondaryDriver. */
export interface SecondaryOptions {
  /** For one QMP command. */
  readonly commandTimeoutMs?: number;
  readonly pollMs?: number;
  /** How long a failover may take before its migration channel counts as hung and is cut. */
  readonly hungAfterMs?: number;
  /** For moveToLocal() without its drain(). */
  readonly moveTimeoutMs?: number;
  /** Network cards whose packets come from the primary. */
  readonly network?: readonly ComparedCard[];
  /**
   * The guest began to run although this QEMU did not enter COLO: the migration was an ordinary
   * one. It has been stopped, or that was tried. Called at most once after prepare().
   */
  readonly onRanWithoutColo?: (error: ColoError) => void;
}

/** How the primary reaches this QEMU. */
export interface SecondaryLinks {
  /**
   * Credentials of the links that have TLS. Whoever connects to one has to have a certificate (or
   * key), and with `clients` one with such a common name. Anybody else is turned away, and QEMU
   * goes on waiting; a stranger on a migration without TLS would end it.
   */
  readonly tls?:
    { readonly creds: TlsCreds; readonly clients?: readonly string[] | undefined } | undefined;
  /** Where to wait for the migration: of a QEMU that was started with `-incoming defer`. */
  readonly incoming?:
    | {
        /** `unix:PATH`, `tcp:HOST:PORT`. */
        readonly uri: string;
        readonly hasTls: boolean;
      }
    | undefined;
}

/**
 * The secondary's QEMU: prepare() while it waits with -incoming, failOver(), openNetwork(),
 * moveToLocal().
 */
export class SecondaryDriver {
  readonly #qmp: QmpClient;
  readonly #options: Required<SecondaryOptions>;
  readonly #move: LocalMove;
  readonly #capabilities = new ColoCapabilities();
  #network: 'walled' | 'open' | undefined;
  #unwatch: () => void = () => undefined;

  constructor(qmp: QmpClient, options: SecondaryOptions = {}) {
    this.#qmp = qmp;
    this.#options = {
      commandTimeoutMs: 10_000,
      pollMs: 50,
      hungAfterMs: 1_000,
      moveTimeoutMs: 30_000,
      network: [],
      onRanWithoutColo: () => undefined,
      ...options,
    };
    const { commandTimeoutMs, moveTimeoutMs: timeoutMs } = this.#options;
    this.#move = new LocalMove(qmp, { commandTimeoutMs, timeoutMs });
  }

  /**
   * Whether packets pass between the guest and this host's network: `walled` from prepare() on,
   * `open` from openNetwork() on; undefined where neither was done here.
   */
  get network(): 'walled' | 'open' | undefined {
    return this.#network;
  }

  /**
   * Checks that this VM waits for a migration, and prepares it and its network cards for COLO.
   * Harmless when repeated.
   * @throws FailoverError `DRIVER_NOT_INCOMING`
   * @throws LinkError `DRIVER_ADD_FAILED`: QEMU cannot use the TLS credentials
   * @throws ColoError `DRIVER_COLO_UNSUPPORTED`
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   * @throws NetworkError
   */
  async prepare({ tls, incoming }: SecondaryLinks = {}): Promise<void> {
    const { commandTimeoutMs: timeoutMs, commandTimeoutMs, pollMs } = this.#options;
    const deadline = new Deadline('preparing the secondary', { timeoutMs });
    const { status } = await step(
      () => this.#qmp.execute('query-status', {}, deadline.options(timeoutMs)),
      queryFailed,
    );
    if (status !== 'inmigrate') {
      const message = `this VM does not wait for its primary: its status is ${status}`;
      throw new FailoverError('DRIVER_NOT_INCOMING', message, 'Start it with -incoming.');
    }
    const context = { qmp: this.#qmp, deadline, commandTimeoutMs, pollMs };
    await this.#capabilities.enable(context);
    if (tls) await putTlsCreds(this.#qmp, tls.creds, commandTimeoutMs, 'server');
    if (tls?.clients) await putTlsAuthz(this.#qmp, tls.clients, commandTimeoutMs);
    await prepareNetwork(context, this.#options.network);
    this.#network = 'walled';
    if (incoming?.hasTls === true) {
      const authz = tls?.clients ? TLS_AUTHZ_ID : undefined;
      await setMigrationTls(context, { creds: TLS_CREDS_IDS.server, authz });
    }
    if (incoming) await this.#listen(incoming.uri, deadline);
    this.#unwatch();
    this.#unwatch = this.#qmp.onEvent('RESUME', () => void this.#onResume());
  }

  async #listen(uri: string, deadline: Deadline): Promise<void> {
    try {
      const options = deadline.options(this.#options.commandTimeoutMs);
      await this.#qmp.execute('migrate-incoming', { uri }, options);
    } catch (error) {
      const words = qemuReason(error);
      // By an earlier process of ours, with what is set now.
      if (/already been started/.test(words)) return;
      const message = `this VM cannot wait for its primary at ${uri}: ${words}`;
      const remedy = 'Start it with `-incoming defer`, and see that nothing else uses the address.';
      throw new FailoverError('DRIVER_NOT_INCOMING', message, remedy, { cause: error });
    }
  }

  /** Only the first is of interest: it is the start of COLO, or of a second copy of the guest. */
  async #onResume(): Promise<void> {
    this.#unwatch();
    const { commandTimeoutMs: timeoutMs, onRanWithoutColo } = this.#options;
    try {
      const { mode, 'last-mode': lastMode } = await this.#qmp.execute(
        'query-colo-status',
        {},
        { timeoutMs },
      );
      if (mode !== 'none' || lastMode !== 'none') return;
      await this.#qmp.execute('stop', {}, { timeoutMs }).finally(() => {
        onRanWithoutColo(ranWithoutColo());
      });
    } catch {
      // A QEMU that cannot be asked is noticed by whoever watches the connection.
    }
  }

  /**
   * After failOver(): the guest's packets take the way through this host's network. Harmless when
   * repeated.
   * @throws NetworkError `DRIVER_NETWORK_STUCK`
   * @throws WaitError
   */
  async openNetwork(): Promise<void> {
    const { commandTimeoutMs, network } = this.#options;
    const deadline = new Deadline('opening the network', { timeoutMs: 2 * commandTimeoutMs });
    await openNetwork({ qmp: this.#qmp, deadline, commandTimeoutMs }, network);
    this.#network = 'open';
  }

  /**
   * The guest takes over here. Resolves when it runs and QEMU says that it was a secondary and is
   * none any more. If QEMU does not get there for `hungAfterMs`, its migration channel is cut.
   * Harmless when repeated. Whoever calls this has made sure that the primary is dead or fenced.
   * @throws FailoverError `DRIVER_NOT_SECONDARY`
   * @throws FailoverError `DRIVER_FAILOVER_FAILED`
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   * @throws WaitError
   */
  async failOver(options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    const deadline = new Deadline('the failover', options);
    const guest = new RunWatch(this.#qmp);
    const yankTimer = setTimeout(() => {
      // A failure shows as the failover's own: the deadline passes.
      this.cutLinks().catch(() => undefined);
    }, this.#options.hungAfterMs);
    try {
      const before = await this.#coloStatus(deadline);
      if (tookOver(before)) return;
      if (before.mode !== 'secondary') throw notSecondary(before);
      guest.reset();
      await this.#loseHeartbeat(deadline);
      // Twice: a RESUME can be that of a last checkpoint, with the failover's own pair still to
      // come.
      for (let agreed = 0; agreed < 2;) {
        await deadline.pause(this.#options.pollMs);
        const status = await this.#coloStatus(deadline);
        agreed = tookOver(status) && guest.resumed() ? agreed + 1 : 0;
      }
    } finally {
      clearTimeout(yankTimer);
      guest.dispose();
    }
  }

  /**
   * Moves the guest from the replicator to local files: looks whether QEMU can open them, stops the
   * guest, awaits `drain` (all buffers are in the files, on stable storage, and the files are not
   * locked), swaps the quorums' children, and continues. All disks move, or none: on failure the
   * old graph is restored, and the guest stays stopped. Ask again after a failure: what is done
   * already is not repeated, and the guest is continued at the end if any attempt has stopped it. A
   * guest that somebody else has stopped stays stopped, which the outcome tells.
   * @throws MoveError its `guestStopped` tells whether an attempt has stopped the guest
   * @throws GraphError before anything was changed
   * @throws WaitError
   */
  async moveToLocal(disks: readonly LocalDisk[], drain: () => Promise<void>): Promise<MoveOutcome> {
    const outcome = await this.#move.run(disks, drain);
    await this.#putBackSettings().catch(() => undefined);
    return outcome;
  }

  /**
   * An ordinary migration would enter COLO otherwise. Nothing depends on it: who protects this VM
   * next sets them again.
   */
  async #putBackSettings(): Promise<void> {
    const { commandTimeoutMs, commandTimeoutMs: timeoutMs } = this.#options;
    const deadline = new Deadline('putting the capabilities back', { timeoutMs });
    const { status } = await this.#qmp.execute('query-migrate', {}, deadline.options(timeoutMs));
    // QEMU cleans up by what they say, so not before it has left COLO.
    if (status !== undefined && !MIGRATION_OVER.has(status)) return;
    const context = { qmp: this.#qmp, deadline, commandTimeoutMs };
    await this.#capabilities.disable(context);
    await clearMigrationTls(context);
    await dropTlsCreds(this.#qmp, commandTimeoutMs, 'server');
  }

  /**
   * Cuts the connections to the primary out-of-band, and nothing more: frees a QEMU that hangs on
   * them. It can fail over then, and does nothing else.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  async cutLinks(timeoutMs: number = this.#options.commandTimeoutMs): Promise<void> {
    const chardevs = chardevNames(this.#options.network);
    await yankAll(this.#qmp, { nodes: [], chardevs, migration: true }, timeoutMs);
  }

  async #loseHeartbeat(deadline: Deadline): Promise<void> {
    try {
      const options = deadline.options(this.#options.commandTimeoutMs);
      await this.#qmp.execute('x-colo-lost-heartbeat', {}, options);
    } catch (error) {
      // Somebody else may have sent it just before; then QEMU refuses ours and fails over all the
      // same.
      const status = await this.#coloStatus(deadline);
      if (tookOver(status) || status.reason === 'processing') return;
      const message = `QEMU refused to fail over: ${qemuReason(error)}`;
      const remedy = 'Look at query-colo-status: another failover may be under way.';
      throw new FailoverError('DRIVER_FAILOVER_FAILED', message, remedy, { cause: error });
    }
  }

  async #coloStatus(deadline: Deadline): Promise<ColoStatus> {
    const options = deadline.options(this.#options.commandTimeoutMs);
    return step(() => this.#qmp.execute('query-colo-status', {}, options), queryFailed);
  }
}

/** Whether the guest was resumed, and not stopped since. */
class RunWatch {
  readonly dispose: () => void;
  #resumed = false;

  constructor(qmp: QmpClient) {
    this.dispose = qmp.on(({ event }) => {
      if (event === 'RESUME') this.#resumed = true;
      else if (event === 'STOP') this.#resumed = false;
    });
  }

  resumed(): boolean {
    return this.#resumed;
  }

  reset(): void {
    this.#resumed = false;
  }
}

function tookOver(status: ColoStatus): boolean {
  return status.mode === 'none' && status['last-mode'] === 'secondary';
}

function notSecondary(status: ColoStatus): FailoverError {
  return new FailoverError(
    'DRIVER_NOT_SECONDARY',
    `this VM is no secondary in COLO: its mode is ${status.mode}, its last ${status['last-mode']}`,
    'COLO never began here, so there is nothing to take over: start the VM from its disk.',
  );
}

function ranWithoutColo(): ColoError {
  const message =
    'the guest began to run here without COLO, as after an ordinary migration: it is stopped now';
  const remedy =
    'Start this QEMU again, and let nothing else change its migration capabilities: x-colo must ' +
    'stay on.';
  return new ColoError('DRIVER_COLO_NOT_ENTERED', message, remedy);
}

function queryFailed(words: string, cause: unknown): ColoError {
  const remedy = 'See whether QEMU still runs, and connect to it again.';
  return new ColoError('DRIVER_COMMAND_FAILED', `the secondary cannot be asked: ${words}`, remedy, {
    cause,
  });
}
