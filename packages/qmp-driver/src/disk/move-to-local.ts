/**
 * From the replicator to local files, with the guest paused.
 *
 *   1 check    each disk has a quorum, and QEMU can open each file; nothing is changed yet
 *   2 stop     the guest; then drain() writes all buffers to the files and unlocks them
 *   3 add      the local files to all quorums         ─┐ on failure these two are undone:
 *   4 remove   the replicator's children from all     ─┘ all disks move, or none
 *   5 delete   the replicator's nodes                 on failure the move is done all the same
 *   6 cont     if the guest ran before
 *
 * It can be asked for again after a failure, and begins where it has to: what is moved already
 * stays so, and a guest that an earlier attempt has stopped is continued at the end.
 *
 * Source: QEMU docs/COLO-FT.txt, "Secondary Failover"; the commands are in qapi/block-core.json.
 */
import type { BlockdevOptions, QmpClient } from 'qemu-qmp-client';
import { addChild, addNode, type BlockdevContext, deleteNode, removeChild } from './blockdev.js';
import { Deadline } from '../deadline.js';
import { GraphError, MoveError, type MoveErrorCode, qemuReason, step } from '../errors.js';
import { findDisk, freeName, type NodeGraph, readGraph } from './graph.js';

/** Formats of a local file that QEMU can use as a quorum's child. */
export type LocalFormat = 'raw' | 'qcow2' | 'qed' | 'vdi' | 'vhdx' | 'vmdk' | 'vpc';

/** Where a disk goes. */
export interface LocalDisk {
  /** Qdev id, drive id or node name; see findDisk(). */
  readonly device: string;
  readonly file: { readonly driver: 'file' | 'host_device'; readonly filename: string };
  /** Default: raw. */
  readonly format?: LocalFormat;
  /** Stem of the new node's name: at most 24 characters that a node's name can have. */
  readonly id: string;
}

/** What a move has come to. */
export interface MoveOutcome {
  /** Whether the guest is stopped: it was so before, and not by an earlier attempt. */
  readonly guestStopped: boolean;
}

export interface MoveOptions {
  readonly commandTimeoutMs: number;
  /** For all but drain(). */
  readonly timeoutMs: number;
}

interface Plan {
  readonly disk: LocalDisk;
  readonly quorum: string;
  /** Name of the local file's node. */
  readonly node: string;
  /** Whether the quorum has that node already. */
  readonly isAdded: boolean;
  /** Nodes of the children that the local file replaces. */
  readonly oldNodes: readonly string[];
}

const LET_IT_WRITE =
  "Let QEMU's user, and AppArmor or SELinux, write to the file, then ask for the move again. " +
  'The guest runs on, with its disks on the replicator.';
const ASK_AGAIN =
  'Remove the cause, then ask for the move again. Do not use cont: the replicator may not serve ' +
  'the disks any more.';

/** The disks' move, over all attempts at it. */
export class LocalMove {
  readonly #qmp: QmpClient;
  readonly #options: MoveOptions;
  /** An attempt has stopped a running guest, and none has continued it since. */
  #hasStoppedGuest = false;
  /** Nodes of the replicator that may still be there. */
  readonly #oldNodes = new Set<string>();

  constructor(qmp: QmpClient, options: MoveOptions) {
    this.#qmp = qmp;
    this.#options = options;
  }

  /** Throws as SecondaryDriver.moveToLocal(). */
  async run(disks: readonly LocalDisk[], drain: () => Promise<void>): Promise<MoveOutcome> {
    const context = this.#context();
    const plans = await planAll(context, disks);
    const isMoved = plans.every(({ isAdded, oldNodes }) => isAdded && oldNodes.length === 0);
    if (!isMoved) await this.#move(context, plans, drain);
    const leftover = await this.#deleteOld();
    await this.#continue();
    if (leftover !== undefined) {
      const reason = qemuReason(leftover);
      const message = `the guest is on its local files, but an old node is left: ${reason}`;
      const remedy = 'Ask for the move again, or delete it with blockdev-del.';
      throw new MoveError('DRIVER_MOVE_UNTIDY', message, remedy, false, { cause: leftover });
    }
    const { running } = await queryRunState(this.#context(), 'DRIVER_MOVE_UNTIDY');
    return { guestStopped: !running };
  }

  async #move(
    context: BlockdevContext,
    plans: readonly Plan[],
    drain: () => Promise<void>,
  ): Promise<void> {
    for (const plan of plans) if (!plan.isAdded) await this.#checkFile(context, plan);
    await this.#stop(context);
    try {
      await drain();
    } catch (cause) {
      throw this.#undone(`the buffers could not be written: ${qemuReason(cause)}`, cause);
    }
    // Draining takes what it takes; the rest has its own bound.
    const after = this.#context();
    const added: Plan[] = [];
    try {
      for (const plan of plans) if (!plan.isAdded) await addLocal(after, plan, added);
      for (const { oldNodes } of plans) {
        for (const node of oldNodes) await removeChild(after, node);
      }
    } catch (cause) {
      await this.#undo(plans, added, cause);
      throw this.#undone(qemuReason(cause), cause);
    }
    for (const node of plans.flatMap(({ oldNodes }) => oldNodes)) this.#oldNodes.add(node);
  }

  /**
   * Opens the file for writing, then its format for reading, and closes it. Without locks: the
   * replicator still has its own, and a format that is opened for writing may write.
   * @throws MoveError `DRIVER_MOVE_UNDONE`
   */
  async #checkFile(context: BlockdevContext, { disk, node }: Plan): Promise<void> {
    const { format = 'raw' } = disk;
    const file = { ...disk.file, locking: 'off' } as const;
    const options = context.deadline.options(context.commandTimeoutMs);
    const { graph } = await readGraph(context.qmp, options);
    const name = freeName(`${node.slice(0, 24)}-try`, new Set(graph.taken));
    const tries: readonly BlockdevOptions[] = [
      { ...file, 'node-name': name },
      { driver: format, 'node-name': name, 'read-only': true, file },
    ];
    for (const node of tries) {
      try {
        await addNode(context, name, node);
      } catch (cause) {
        const reason = qemuReason(cause);
        const { filename } = disk.file;
        const message = `QEMU cannot open ${filename}, the file of ${disk.device}: ${reason}`;
        throw new MoveError('DRIVER_MOVE_UNDONE', message, LET_IT_WRITE, false, { cause });
      }
      // What is not deleted now has another chance at the end.
      this.#oldNodes.add(name);
      const isGone = await deleteNode(context, name).then(
        () => true,
        () => false,
      );
      if (!isGone) return;
      this.#oldNodes.delete(name);
    }
  }

  async #stop({ qmp, deadline, commandTimeoutMs }: BlockdevContext): Promise<void> {
    const context = { qmp, deadline, commandTimeoutMs };
    const { running } = await queryRunState(context, 'DRIVER_MOVE_UNDONE');
    if (!running) return;
    try {
      await qmp.execute('stop', {}, deadline.options(commandTimeoutMs));
      this.#hasStoppedGuest = true;
    } catch (cause) {
      // A stop without an answer may still be carried out: this cont then follows at once.
      await qmp.execute('cont', {}, { timeoutMs: commandTimeoutMs }).catch(() => undefined);
      const message = `the guest could not be stopped: ${qemuReason(cause)}`;
      const remedy = 'Nothing was changed. A write that hangs keeps a guest from stopping.';
      throw new MoveError('DRIVER_MOVE_UNDONE', message, remedy, false, { cause });
    }
  }

  async #continue(): Promise<void> {
    if (!this.#hasStoppedGuest) return;
    const { qmp, deadline, commandTimeoutMs } = this.#context();
    await step(
      () => qmp.execute('cont', {}, deadline.options(commandTimeoutMs)),
      (words, cause) => {
        const message = `the guest uses its local files, but does not continue: ${words}`;
        const remedy = 'Ask for the move again, or continue the guest with cont.';
        return new MoveError('DRIVER_MOVE_UNTIDY', message, remedy, true, { cause });
      },
    );
    this.#hasStoppedGuest = false;
  }

  /**
   * Puts the old children back and takes away what was added.
   * @throws MoveError `DRIVER_MOVE_STUCK`
   */
  async #undo(plans: readonly Plan[], added: readonly Plan[], first: unknown): Promise<void> {
    const context = this.#context();
    try {
      for (const { quorum, oldNodes } of plans) {
        const options = context.deadline.options(context.commandTimeoutMs);
        const { graph } = await readGraph(context.qmp, options);
        const present = new Set(graph.children(quorum).map(({ node }) => node));
        for (const node of oldNodes) {
          if (!present.has(node)) await addChild(context, quorum, node);
        }
      }
      for (const { node } of added) {
        await removeChild(context, node);
        await deleteNode(context, node);
      }
    } catch (cause) {
      const reasons = `${qemuReason(first)}; then: ${qemuReason(cause)}`;
      const message = `the move failed, and undoing it failed, too: ${reasons}`;
      const remedy = 'Remove the cause, then ask for the move again. Do not use cont before.';
      const stopped = this.#hasStoppedGuest;
      throw new MoveError('DRIVER_MOVE_STUCK', message, remedy, stopped, { cause });
    }
  }

  /** @returns the first error: the guest need not wait for a tidy graph */
  async #deleteOld(): Promise<unknown> {
    const context = this.#context();
    let first: unknown;
    for (const node of this.#oldNodes) {
      try {
        await deleteNode(context, node);
        this.#oldNodes.delete(node);
      } catch (error) {
        first ??= error;
      }
    }
    return first;
  }

  #undone(reason: string, cause: unknown): MoveError {
    const message = `the disks stay on the replicator: ${reason}`;
    const stopped = this.#hasStoppedGuest;
    return new MoveError('DRIVER_MOVE_UNDONE', message, ASK_AGAIN, stopped, { cause });
  }

  #context(): BlockdevContext {
    const { commandTimeoutMs, timeoutMs } = this.#options;
    const deadline = new Deadline('the move to local files', { timeoutMs });
    return { qmp: this.#qmp, deadline, commandTimeoutMs };
  }
}

async function planAll(context: BlockdevContext, disks: readonly LocalDisk[]): Promise<Plan[]> {
  const { qmp, deadline, commandTimeoutMs } = context;
  const options = deadline.options(commandTimeoutMs);
  const plans: Plan[] = [];
  const taken = new Set<string>();
  for (const disk of disks) {
    const { quorum, topNode } = await findDisk(qmp, disk.device, options);
    if (quorum === undefined) {
      const message = `${disk.device} (node ${topNode}) has no quorum for a local file`;
      const remedy = 'Start the secondary with a quorum on its disk.';
      throw new GraphError('DRIVER_NO_QUORUM', message, remedy);
    }
    const { graph } = await readGraph(qmp, options);
    for (const name of graph.taken) taken.add(name);
    const children = quorum.children.map(({ node }) => node);
    const present = children.find((node) => leafFile(graph, node) === disk.file.filename);
    const node = present ?? freeName(`gannet-${disk.id}`, taken);
    taken.add(node);
    plans.push({
      disk,
      quorum: quorum.node,
      node,
      isAdded: present !== undefined,
      oldNodes: children.filter((child) => child !== node),
    });
  }
  return plans;
}

/** The file at the bottom of a node that has a single child, or none. */
function leafFile(graph: NodeGraph, node: string): string | undefined {
  const [below, ...more] = graph.children(node);
  if (below === undefined) return graph.info(node)?.file;
  return more.length === 0 ? leafFile(graph, below.node) : undefined;
}

/** @param added takes what is there now, also where this fails half-way */
async function addLocal(context: BlockdevContext, plan: Plan, added: Plan[]): Promise<void> {
  const { disk, quorum, node } = plan;
  const { driver, filename } = disk.file;
  await addNode(context, node, {
    driver: disk.format ?? 'raw',
    'node-name': node,
    file: { driver, filename },
  });
  added.push(plan);
  await addChild(context, quorum, node);
}

function queryRunState(
  { qmp, deadline, commandTimeoutMs }: BlockdevContext,
  code: MoveErrorCode,
): Promise<{ readonly running: boolean }> {
  return step(
    () => qmp.execute('query-status', {}, deadline.options(commandTimeoutMs)),
    (words, cause) => {
      const message = `the guest's state cannot be read: ${words}`;
      const remedy = 'See whether QEMU still answers.';
      return new MoveError(code, message, remedy, false, { cause });
    },
  );
}
