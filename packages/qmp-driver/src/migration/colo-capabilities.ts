/**
 * The migration capabilities that COLO depends on.
 *
 * QEMU 7.2 and 10.0 read COLO's messages where the return path reads its own: with `return-path`
 * on, COLO fails at its first message, and both guests run. With `multifd` its second checkpoint
 * fails. QEMU 11.1 refuses `x-colo` without `return-path`, and its COLO works with `multifd`
 * (migration/options.c, migrate_caps_check). No release number decides: the first way is tried,
 * and the second where QEMU's refusal asks for it.
 */
import { type MigrationCapabilityStatus, type QmpClient, QmpCommandError } from 'qemu-qmp-client';
import type { Deadline } from '../deadline.js';
import { ColoError, step } from '../errors.js';

/** Capabilities that are changed for COLO, besides `x-colo`. */
const AFFECTED = ['return-path', 'multifd', 'events'] as const;
const WANTS_RETURN_PATH = /x-colo\W+requires\b.*\breturn-path\b/;

/** Of some capabilities, whether they are on. */
type Capabilities = readonly MigrationCapabilityStatus[];

interface CapabilityContext {
  readonly qmp: QmpClient;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
}

/** The capabilities of one QEMU. Remembers how the others were before COLO. */
export class ColoCapabilities {
  #before: Capabilities | undefined;

  /**
   * Sets what COLO needs, and clears what it does not work with.
   * @throws ColoError `DRIVER_COLO_UNSUPPORTED` with QEMU's words
   * @throws WaitError
   */
  async enable(context: CapabilityContext): Promise<void> {
    await step(async () => {
      const all = await query(context);
      const before = AFFECTED.flatMap((capability) => {
        const state = all.find((one) => one.capability === capability)?.state;
        return state === undefined ? [] : [{ capability, state }];
      });
      const without = before
        .filter(({ capability, state }) => state && capability !== 'events')
        .map((one) => ({ ...one, state: false }));
      // Says at once when somebody else begins a migration, or cancels this one.
      const told = before.some(({ capability, state }) => capability === 'events' && !state)
        ? [{ capability: 'events', state: true } as const]
        : [];
      try {
        await set(context, [...told, ...without, { capability: 'x-colo', state: true }]);
      } catch (error) {
        if (!(error instanceof QmpCommandError && WANTS_RETURN_PATH.test(error.desc))) throw error;
        const both = (['return-path', 'x-colo'] as const).map((capability) => ({
          ...{ capability, state: true },
        }));
        await set(context, [...told, ...both]);
      }
      // A second attempt finds what the first has set.
      this.#before ??= before;
    }, unsupported);
  }

  /**
   * Clears `x-colo`, since an ordinary migration would enter COLO, and puts the others back. Does
   * nothing where it is clear already. Where an earlier process has enabled it, it is not known how
   * the others were, and they stay as they are.
   * @throws ColoError `DRIVER_COLO_UNSUPPORTED` with QEMU's words
   * @throws WaitError
   */
  async disable(context: CapabilityContext): Promise<void> {
    await step(async () => {
      const isOn = (await query(context)).some((one) => one.capability === 'x-colo' && one.state);
      const off = [{ capability: 'x-colo', state: false }] as const;
      if (isOn) await set(context, [...off, ...(this.#before ?? [])]);
      this.#before = undefined;
    }, unsupported);
  }
}

function query({ qmp, deadline, commandTimeoutMs }: CapabilityContext) {
  return qmp.execute('query-migrate-capabilities', {}, deadline.options(commandTimeoutMs));
}

function set(
  { qmp, deadline, commandTimeoutMs }: CapabilityContext,
  capabilities: Capabilities,
): Promise<unknown> {
  const options = deadline.options(commandTimeoutMs);
  return qmp.execute('migrate-set-capabilities', { capabilities: [...capabilities] }, options);
}

function unsupported(words: string, cause: unknown): ColoError {
  const message = `QEMU does not take the migration capability x-colo: ${words}`;
  const remedy =
    'Use a QEMU built with --enable-replication, with no migration under way. A capability that ' +
    'its words name can be switched off with migrate-set-capabilities.';
  return new ColoError('DRIVER_COLO_UNSUPPORTED', message, remedy, { cause });
}
