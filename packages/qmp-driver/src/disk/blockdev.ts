/** Steps on the block graph that the primary and the secondary share. */
import { type BlockdevOptions, type QmpClient, QmpCommandError } from 'qemu-qmp-client';
import type { Deadline } from '../deadline.js';
import { LinkError, step, qemuReason } from '../errors.js';
import { readGraph } from './graph.js';

/**
 * A node stays busy for a moment after its last user went (seen: "Block device link0 is in use").
 */
const BUSY_PAUSE_MS = 50;

export interface BlockdevContext {
  readonly qmp: QmpClient;
  readonly deadline: Deadline;
  /** For one command. */
  readonly commandTimeoutMs: number;
}

/** @throws LinkError `DRIVER_ADD_FAILED` */
export async function addNode(
  { qmp, deadline, commandTimeoutMs }: BlockdevContext,
  node: string,
  options: BlockdevOptions,
): Promise<void> {
  await step(
    () => qmp.execute('blockdev-add', options, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `node ${node} cannot be added: ${words}`;
      const remedy = 'See whether its file or server is there, and no node has that name.';
      return new LinkError('DRIVER_ADD_FAILED', message, remedy, { cause });
    },
  );
}

/**
 * Deletes the node if it exists, and waits while it is still in use, as long as the deadline
 * allows.
 * @returns whether there was one
 * @throws LinkError `DRIVER_REMOVE_FAILED`
 */
export async function deleteNode(context: BlockdevContext, node: string): Promise<boolean> {
  const { qmp, deadline, commandTimeoutMs } = context;
  for (;;) {
    const options = deadline.options(commandTimeoutMs);
    if (!(await readGraph(qmp, options)).graph.has(node)) return false;
    try {
      await qmp.execute('blockdev-del', { 'node-name': node }, options);
      return true;
    } catch (error) {
      const busy = error instanceof QmpCommandError && error.desc.endsWith(' is in use');
      if (!busy || deadline.leftMs < 2 * BUSY_PAUSE_MS) throw undeletable(node, error);
    }
    await deadline.pause(BUSY_PAUSE_MS);
  }
}

function undeletable(node: string, cause: unknown): LinkError {
  const message = `node ${node} cannot be deleted: ${qemuReason(cause)}`;
  const remedy = 'See in x-debug-query-block-graph who uses it.';
  return new LinkError('DRIVER_REMOVE_FAILED', message, remedy, { cause });
}

/** @throws LinkError `DRIVER_ADD_FAILED` */
export async function addChild(
  { qmp, deadline, commandTimeoutMs }: BlockdevContext,
  quorum: string,
  node: string,
): Promise<void> {
  await step(
    () =>
      qmp.execute(
        'x-blockdev-change',
        { parent: quorum, node },
        deadline.options(commandTimeoutMs),
      ),
    (words, cause) => {
      const message = `node ${node} cannot be added to quorum ${quorum}: ${words}`;
      const remedy = 'See that the sizes are equal and that nothing else changes the quorum.';
      return new LinkError('DRIVER_ADD_FAILED', message, remedy, { cause });
    },
  );
}

/**
 * Takes `node` out of the quorum that has it, under the child's name that the graph shows, and
 * whatever somebody has put above that quorum.
 * @returns whether one had it
 * @throws LinkError `DRIVER_REMOVE_FAILED`
 */
export async function removeChild(
  { qmp, deadline, commandTimeoutMs }: BlockdevContext,
  node: string,
): Promise<boolean> {
  const options = deadline.options(commandTimeoutMs);
  const { graph } = await readGraph(qmp, options);
  const quorum = graph.quorumOver(node);
  if (quorum === undefined) return false;
  const edge = graph.children(quorum).find((child) => child.node === node);
  if (edge === undefined) return false;
  await step(
    () => qmp.execute('x-blockdev-change', { parent: quorum, child: edge.child }, options),
    (words, cause) => {
      const message = `${edge.child} (node ${node}) cannot leave quorum ${quorum}: ${words}`;
      const remedy = 'A quorum keeps at least as many children as its vote-threshold.';
      return new LinkError('DRIVER_REMOVE_FAILED', message, remedy, { cause });
    },
  );
  return true;
}
