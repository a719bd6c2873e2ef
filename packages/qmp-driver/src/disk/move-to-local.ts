/**
 * From the replicator to local files, with the guest stopped.
 *
 *   1 check    every disk has a quorum; nothing is touched yet
 *   2 stop     the guest, then drain() puts every buffer into the files and lets go of them: QEMU locks what it opens
 *   3 add      the local files to all quorums         ─┐ on failure these two are undone,
 *   4 remove   the replicator's children from all     ─┘ so all disks move or none does
 *   5 delete   the replicator's nodes                 on failure the move is done all the same
 *   6 cont     if the guest ran before
 *
 * Source: QEMU docs/COLO-FT.txt, "Secondary Failover"; the commands are in qapi/block-core.json.
 */
import type { QmpClient } from 'qemu-qmp-client';
import { addChild, addNode, type BlockdevContext, deleteNode, removeChild } from './blockdev.js';
import { Deadline } from '../deadline.js';
import { GraphError, MoveError, step, qemuReason } from '../errors.js';
import { findDisk, readGraph } from './graph.js';

export type LocalFormat = 'raw' | 'qcow2' | 'qed' | 'vdi' | 'vhdx' | 'vmdk' | 'vpc';

export interface LocalDisk {
  /** Qdev id, drive id or node name; see findDisk(). */
  readonly device: string;
  readonly file: { readonly driver: 'file' | 'host_device'; readonly filename: string };
  /** Default: raw. */
  readonly format?: LocalFormat;
  /** Name of the new node. */
  readonly id: string;
}

export interface MoveOptions {
  readonly commandTimeoutMs: number;
  /** For all but drain(). */
  readonly timeoutMs: number;
}

interface Plan {
  readonly disk: LocalDisk;
  readonly quorum: string;
  /** Nodes of the children that the local file replaces. */
  readonly oldNodes: readonly string[];
}

/** @throws as SecondaryDriver.moveToLocal() */
export async function moveDisks(
  qmp: QmpClient,
  disks: readonly LocalDisk[],
  drain: () => Promise<void>,
  options: MoveOptions,
): Promise<void> {
  const context = contextFor(qmp, options);
  const plans = await planAll(context, disks);
  const wasRunning = await stop(context);
  try {
    await drain();
  } catch (cause) {
    throw undone(`the buffers could not be written: ${qemuReason(cause)}`, wasRunning, cause);
  }
  // Draining takes what it takes; the rest has its own bound.
  const after = contextFor(qmp, options);
  try {
    await addAll(after, plans);
    for (const { quorum, oldNodes } of plans) {
      for (const node of oldNodes) await removeChild(after, quorum, node);
    }
  } catch (cause) {
    await undo(contextFor(qmp, options), plans, wasRunning, cause);
    throw undone(qemuReason(cause), wasRunning, cause);
  }
  const leftover = await deleteOld(after, plans);
  if (wasRunning) await cont(contextFor(qmp, options));
  if (leftover !== undefined) {
    const message = `the guest is on its local files, but a node is left: ${qemuReason(leftover)}`;
    const remedy = 'Delete it with blockdev-del before the replicator goes.';
    throw new MoveError('DRIVER_MOVE_UNTIDY', message, remedy, false, { cause: leftover });
  }
}

function contextFor(qmp: QmpClient, { commandTimeoutMs, timeoutMs }: MoveOptions): BlockdevContext {
  const deadline = new Deadline('the move to local files', { timeoutMs });
  return { qmp, deadline, commandTimeoutMs };
}

async function planAll(context: BlockdevContext, disks: readonly LocalDisk[]): Promise<Plan[]> {
  const { qmp, deadline, commandTimeoutMs } = context;
  const plans: Plan[] = [];
  for (const disk of disks) {
    const { quorum, topNode } = await findDisk(
      qmp,
      disk.device,
      deadline.options(commandTimeoutMs),
    );
    if (quorum === undefined) {
      const message = `${disk.device} (node ${topNode}) has no quorum to which a local file could be added`;
      throw new GraphError(
        'DRIVER_NO_QUORUM',
        message,
        'Start the secondary with a quorum on its disk.',
      );
    }
    const oldNodes = quorum.children.map(({ node }) => node).filter((node) => node !== disk.id);
    plans.push({ disk, quorum: quorum.node, oldNodes });
  }
  return plans;
}

async function addAll(context: BlockdevContext, plans: readonly Plan[]): Promise<void> {
  for (const { disk, quorum } of plans) {
    const { driver, filename } = disk.file;
    await addNode(context, disk.id, {
      driver: disk.format ?? 'raw',
      'node-name': disk.id,
      file: { driver, filename },
    });
    await addChild(context, quorum, disk.id);
  }
}

/** @returns whether the guest was running */
async function stop(context: BlockdevContext): Promise<boolean> {
  const { qmp, deadline, commandTimeoutMs } = context;
  const { running } = await step(
    () => qmp.execute('query-status', {}, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the guest's status cannot be read: ${words}`;
      return new MoveError('DRIVER_MOVE_UNDONE', message, 'Nothing was changed.', false, { cause });
    },
  );
  if (!running) return false;
  try {
    await qmp.execute('stop', {}, deadline.options(commandTimeoutMs));
    return true;
  } catch (cause) {
    // A stop without an answer may still come to pass: this cont then comes right behind it.
    await qmp.execute('cont', {}, { timeoutMs: commandTimeoutMs }).catch(() => undefined);
    const message = `the guest could not be stopped: ${qemuReason(cause)}`;
    const remedy = 'Nothing was changed. A write that hangs keeps a guest from stopping.';
    throw new MoveError('DRIVER_MOVE_UNDONE', message, remedy, false, { cause });
  }
}

async function cont({ qmp, deadline, commandTimeoutMs }: BlockdevContext): Promise<void> {
  await step(
    () => qmp.execute('cont', {}, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the guest is on its local files, but does not go on: ${words}`;
      return new MoveError('DRIVER_MOVE_UNTIDY', message, 'Continue it with cont.', true, {
        cause,
      });
    },
  );
}

/** Puts the old children back and takes the local files out. @throws MoveError `DRIVER_MOVE_STUCK` */
async function undo(
  context: BlockdevContext,
  plans: readonly Plan[],
  wasRunning: boolean,
  first: unknown,
): Promise<void> {
  try {
    for (const { disk, quorum, oldNodes } of plans) {
      const options = context.deadline.options(context.commandTimeoutMs);
      const { graph } = await readGraph(context.qmp, options);
      const present = new Set(graph.children(quorum).map(({ node }) => node));
      for (const node of oldNodes) {
        if (!present.has(node)) await addChild(context, quorum, node);
      }
      await removeChild(context, quorum, disk.id);
      await deleteNode(context, disk.id);
    }
  } catch (cause) {
    const message = `the move failed (${qemuReason(first)}), and so did undoing it: ${qemuReason(cause)}`;
    const remedy = 'Mend the quorums by hand with x-blockdev-change before cont.';
    throw new MoveError('DRIVER_MOVE_STUCK', message, remedy, wasRunning, { cause });
  }
}

/** @returns the first error; the guest need not wait for a tidy graph */
async function deleteOld(context: BlockdevContext, plans: readonly Plan[]): Promise<unknown> {
  let first: unknown;
  for (const node of plans.flatMap(({ oldNodes }) => oldNodes)) {
    await deleteNode(context, node).catch((error: unknown) => {
      first ??= error;
    });
  }
  return first;
}

function undone(words: string, guestStopped: boolean, cause: unknown): MoveError {
  const remedy = 'The disks are as they were: continue the guest with cont, and try again.';
  const message = `the disks stay on the replicator: ${words}`;
  return new MoveError('DRIVER_MOVE_UNDONE', message, remedy, guestStopped, { cause });
}
