import { ColoError, step } from '../errors.js';
import type { MigrationContext } from '../migration.js';

/**
 * Stops the guest of a primary in COLO, for good.
 *
 * `stop` alone lasts until the next checkpoint, which continues the guest whatever it found (QEMU
 * migration/colo.c, colo_do_checkpoint_transaction). So COLO's channel is cut out-of-band, at once:
 * a checkpoint that is under way fails, and no other begins.
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 */
export async function haltGuest(context: MigrationContext): Promise<void> {
  const { qmp, deadline, commandTimeoutMs, pollMs } = context;
  const options = deadline.options(commandTimeoutMs);
  const instances = [{ type: 'migration' }] as const;
  // It may be cut already.
  const cut = qmp.execute('yank', { instances }, { ...options, oob: true }).catch(() => undefined);
  await step(
    async () => {
      for (let isFirst = true; ; isFirst = false) {
        await Promise.all([cut, qmp.execute('stop', {}, options)]);
        const { running } = await qmp.execute('query-status', {}, options);
        // A checkpoint that was about to end may have continued it after `stop`.
        if (!running && !isFirst) return;
        await deadline.pause(pollMs);
      }
    },
    (words, cause) => {
      const message = `the guest cannot be stopped: ${words}`;
      const remedy = 'See whether QEMU still answers; if it does not, end it.';
      return new ColoError('DRIVER_COMMAND_FAILED', message, remedy, { cause });
    },
  );
}
